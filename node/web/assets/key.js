// From the join line to the key of the HTTP interface: HKDF-SHA-256 of the token, as
// Token.Bearer makes it. Browsers have it built in, but on https and localhost only, and a
// node in a classroom's network is http://192.168..., so it is written out.

const label = new TextEncoder().encode("caucus v1 http bearer");

/**
 * tokenIn finds the token in what somebody pasted: the whole line, the address with #, or
 * the token alone. null: there is none.
 */
export function tokenIn(text) {
  const found = /(?:#|^\s*["']?)([A-Za-z0-9_-]{43})(?![A-Za-z0-9_-])/.exec(text);
  return found ? found[1] : null;
}

/** keyOf returns the key that goes behind "Authorization: Bearer". */
export function keyOf(token) {
  const secret = Uint8Array.from(atob(token.replaceAll("-", "+").replaceAll("_", "/") + "="), (c) => c.charCodeAt(0));
  const pseudorandom = hmac(new Uint8Array(32), secret); // no salt
  const key = hmac(pseudorandom, join(label, Uint8Array.of(1))); // one block is all that is wanted
  return btoa(String.fromCharCode(...key)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

function join(a, b) {
  const out = new Uint8Array(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
}

// RFC 2104; no key here is longer than a block.
function hmac(key, message) {
  const inner = new Uint8Array(64).fill(0x36), outer = new Uint8Array(64).fill(0x5c);
  key.forEach((byte, i) => {
    inner[i] ^= byte;
    outer[i] ^= byte;
  });
  return sha256(join(outer, sha256(join(inner, message))));
}

// The first 32 bits of the fractional parts of roots of the first primes, as FIPS 180-4
// has it: square roots to begin with, cube roots for the rounds.
const primes = [];
for (let n = 2; primes.length < 64; n++) if (primes.every((p) => n % p !== 0)) primes.push(n);
const fraction = (x) => ((x - Math.floor(x)) * 2 ** 32) >>> 0;
const begin = primes.slice(0, 8).map((p) => fraction(Math.sqrt(p)));
const rounds = primes.map((p) => fraction(Math.cbrt(p)));

const turn = (x, n) => (x >>> n) | (x << (32 - n));

function sha256(message) {
  const padded = new Uint8Array(64 * Math.ceil((message.length + 9) / 64));
  padded.set(message);
  padded[message.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 4, message.length * 8);
  const state = Uint32Array.from(begin);
  const w = new Uint32Array(64);
  for (let at = 0; at < padded.length; at += 64) {
    for (let i = 0; i < 64; i++) {
      if (i < 16) {
        w[i] = view.getUint32(at + 4 * i);
        continue;
      }
      const a = w[i - 15], b = w[i - 2];
      w[i] = w[i - 16] + (turn(a, 7) ^ turn(a, 18) ^ (a >>> 3)) + w[i - 7] + (turn(b, 17) ^ turn(b, 19) ^ (b >>> 10));
    }
    let [a, b, c, d, e, f, g, h] = state;
    for (let i = 0; i < 64; i++) {
      const t = (h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + rounds[i] + w[i]) | 0;
      const u = ((turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      [h, g, f, e, d, c, b, a] = [g, f, e, (d + t) | 0, c, b, a, (t + u) | 0];
    }
    [a, b, c, d, e, f, g, h].forEach((x, i) => { state[i] += x; });
  }
  const out = new DataView(new ArrayBuffer(32));
  state.forEach((x, i) => out.setUint32(4 * i, x));
  return new Uint8Array(out.buffer);
}
