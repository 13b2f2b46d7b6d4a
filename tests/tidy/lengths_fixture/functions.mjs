// Functions of JavaScript; lengths_test.py knows the length of each. Not run.
import { a } from "./a.mjs";

export function plain(x, { y = 1 } = {}) {
  if (x) {
    return `{ ${y} }`;
  }
  return "}";
}

const arrow = async (x) => {
  return x.map((y) => {
    return y / 2;
  });
};

class Thing {
  #size = 0;
  constructor(size) {
    this.#size = size;
  }
  get size() { return this.#size; }
  static async make() {
    for (const x of [1]) {
      await x;
    }
  }
}
