/**
 * The ISP certificates of this browser. The private key is made here, wrapped by the certificate's password,
 * and never leaves: only its public half and its signatures do.
 */

const DATABASE = "sandbox-isp";
const STORE = "certificates";
const ROUNDS = 600_000; // PBKDF2-HMAC-SHA-256, OWASP's number for 2023 and later
const FAILURES_MAX = 5;
const CURVE = { name: "ECDSA", namedCurve: "P-256" };
const SIGNING = { name: "ECDSA", hash: "SHA-256" };

export class WrongPassword extends Error {
  constructor(left) {
    super("the certificate's password does not open the key");
    this.left = left;
  }
}

const toBase64 = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)));
export const fromBase64 = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

/** False on plain http to another machine: browsers keep WebCrypto for secure contexts. */
export const cryptographyIsHere = () => Boolean(globalThis.crypto?.subtle);

function answered(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
    request.onblocked = () => reject(new Error("blocked"));
  });
}

/** Certificates by serial: IndexedDB where the browser allows it, else memory for as long as the page lives. */
export class CertificateStore {
  /** True when the browser refused storage: the certificate will be gone with the page. */
  onlyInMemory = false;
  #memory = new Map();
  #database = null;

  static async open() {
    const store = new CertificateStore();
    try {
      const opening = indexedDB.open(DATABASE, 1);
      opening.onupgradeneeded = () => opening.result.createObjectStore(STORE, { keyPath: "serial" });
      store.#database = await answered(opening);
    } catch {
      store.onlyInMemory = true;
    }
    return store;
  }

  #objects(mode) {
    return this.#database.transaction(STORE, mode).objectStore(STORE);
  }

  async all() {
    if (this.onlyInMemory) return [...this.#memory.values()];
    return answered(this.#objects("readonly").getAll());
  }

  async keep(certificate) {
    if (this.onlyInMemory) {
      this.#memory.set(certificate.serial, certificate);
      return;
    }
    try {
      await answered(this.#objects("readwrite").put(certificate));
    } catch {
      this.onlyInMemory = true;
      this.#memory.set(certificate.serial, certificate);
    }
  }

  async remove(serial) {
    this.#memory.delete(serial);
    if (!this.onlyInMemory) await answered(this.#objects("readwrite").delete(serial));
  }
}

async function wrappingKey(password, salt) {
  const material = await crypto.subtle.importKey(
    "raw",
    new TextEncoder().encode(password.normalize("NFC")),
    "PBKDF2",
    false,
    ["deriveKey"],
  );
  return crypto.subtle.deriveKey(
    { name: "PBKDF2", hash: "SHA-256", salt, iterations: ROUNDS },
    material,
    { name: "AES-GCM", length: 256 },
    false,
    ["wrapKey", "unwrapKey"],
  );
}

/**
 * Make a key pair and prove that we hold its private half.
 * @param {(publicKey: string) => Uint8Array} proofBytes what is signed as the proof, given the public key in base64
 */
export async function makeKey(password, proofBytes) {
  const pair = await crypto.subtle.generateKey(CURVE, true, ["sign", "verify"]);
  const publicKey = toBase64(await crypto.subtle.exportKey("spki", pair.publicKey));
  const proof = await crypto.subtle.sign(SIGNING, pair.privateKey, proofBytes(publicKey));
  const salt = crypto.getRandomValues(new Uint8Array(16));
  const iv = crypto.getRandomValues(new Uint8Array(12));
  const wrapped = await crypto.subtle.wrapKey("pkcs8", pair.privateKey, await wrappingKey(password, salt), {
    name: "AES-GCM",
    iv,
  });
  return { publicKey, proof: toBase64(proof), lock: { salt, iv, wrapped } };
}

/**
 * Sign the card company's challenge with the certificate's key.
 * @throws {WrongPassword} with how many tries are left; at none the certificate is no longer usable.
 */
export async function sign(store, certificate, password, bytes) {
  const { salt, iv, wrapped } = certificate.lock;
  let key;
  try {
    key = await crypto.subtle.unwrapKey(
      "pkcs8",
      wrapped,
      await wrappingKey(password, salt),
      { name: "AES-GCM", iv },
      CURVE,
      false,
      ["sign"],
    );
  } catch {
    certificate.failures += 1;
    await store.keep(certificate);
    throw new WrongPassword(FAILURES_MAX - certificate.failures);
  }
  if (certificate.failures) {
    certificate.failures = 0;
    await store.keep(certificate);
  }
  return toBase64(await crypto.subtle.sign(SIGNING, key, bytes));
}

export const isLocked = (certificate) => certificate.failures >= FAILURES_MAX;
