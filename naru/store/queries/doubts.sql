-- elsewhere --
-- What nobody here knows and moves no money, oldest first. What was asked a moment ago is no doubt yet.
SELECT question, number, about, since, next_try_at, tries FROM open_questions
 WHERE tries > 0 OR next_try_at <= $1
 ORDER BY since, number LIMIT $2;
