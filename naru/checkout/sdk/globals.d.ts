// What the server puts in front of the parts when it joins them, and the words that pass between them.

/** `old` for /js/iamport.payment-x.y.z.js, `new` for /v1/iamport.js. */
declare const GENERATION: "old" | "new";

/** Window modes by pg code (naru/domain/pg_profile.py, PgProfile.to_sdk). */
declare const WINDOW_MODES: { [pgCode: string]: WindowMode };

interface WindowMode {
  pc: Mode;
  mobile: Mode;
  /** mobile: redirect when m_redirect_url is given, else iframe */
  byUrl: boolean;
  /** `popup: true` makes a popup */
  popupParam: boolean;
  /** `popup: false` unmakes it */
  popupOff: boolean;
  name: string;
  size: number[];
}

type Mode = "iframe" | "redirect" | "popup";
type Surface = "pc" | "mobile";
type Words = { [word: string]: string };

/** The object that a merchant's callback receives (SDK facts §6). */
type Result = { [key: string]: any };

interface Channel {
  pg_provider: string;
  pg_id: string;
  type: string;
  channel_key: string;
}

/** An answer over HTTP; status 0: none came. */
interface Answer {
  status: number;
  body: any;
}

interface NoticeButton {
  text: string;
  press: () => void;
}

interface Dialog {
  frame: HTMLIFrameElement | null;
  /** Put the payment window inside. */
  load(url: string): void;
  /** The window is there: take the skeleton away and move the focus in. */
  ready(): void;
  /** Say something instead of the window, with buttons to press. */
  notice(text: string, buttons: NoticeButton[], busy: boolean): void;
  /** Ask whether to give up, then call `giveUp`. */
  ask(): void;
  remove(): void;
}

/** One call of request_pay or certification, from the click to the callback. */
interface Session {
  kind: "payment" | "certification";
  row: WindowMode | undefined;
  requestId: string;
  param: any;
  callback: any;
  surface: Surface;
  provider: string;
  words: Words;
  language: string;
  dialog: Dialog | null;
  popup: Window | null;
  /** the payment window has spoken to us: the popup's opener is not cut off */
  helloHeard: boolean;
  /** since another page came into the frame, a page of the gateway's has spoken */
  spoke: boolean;
  payment: { imp_uid: string; merchant_uid: string; window_url: string; token: string } | null;
  /** why we give up; set once */
  givingUp: string | null;
  ended: boolean;
  cleanups: Array<() => void>;
}

interface Window {
  IMP: any;
  CSS: any;
}
