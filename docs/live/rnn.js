// What the three pages share: the weights of a model, and the operations of the equations.
// A vector is a Float32Array, a matrix {rows, cols, data}.  No module, so that the pages also
// open from a disk.
"use strict";

// ---- The weights of a model ------------------------------------------------------------

/** The value of a 16-bit float: one bit for the sign, 5 for the exponent, 10 for the fraction. */
function halfToNumber(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) {
    return sign * fraction * 2 ** -24;
  }
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}

/** {name: matrix or vector} of a model as docs/export_models.py has written it. */
function unpack(model) {
  const bytes = Uint8Array.from(atob(model.weights), (character) => character.charCodeAt(0));
  const weights = {};
  let at = 0;
  for (const [name, shape] of Object.entries(model.shapes)) {
    const data = new Float32Array(shape.reduce((product, size) => product * size, 1));
    for (let index = 0; index < data.length; index++, at += 2) {
      data[index] = halfToNumber(bytes[at] + 256 * bytes[at + 1]);
    }
    weights[name] = shape.length === 2 ? { rows: shape[0], cols: shape[1], data } : data;
  }
  return weights;
}

/** Row `index` of a matrix: the vector of a token in an embedding table. */
function row(matrix, index) {
  return matrix.data.subarray(index * matrix.cols, (index + 1) * matrix.cols);
}

/** {token: index}, without the special tokens in angle brackets at the beginning. */
function indexTokens(vocab) {
  const numbers = new Map();
  vocab.forEach((token, index) => {
    if (!/^<(pad|unk|bos|eos)>$/.test(token)) {
      numbers.set(token, index);
    }
  });
  return numbers;
}

// ---- Operations ------------------------------------------------------------------------

/** Matrix times vector. */
function times(matrix, vector) {
  const { rows, cols, data } = matrix;
  const result = new Float32Array(rows);
  let at = 0;
  for (let r = 0; r < rows; r++) {
    let sum = 0;
    for (let c = 0; c < cols; c++) {
      sum += data[at++] * vector[c];
    }
    result[r] = sum;
  }
  return result;
}

/** Vectors, added unit by unit. */
function add(first, ...others) {
  const result = Float32Array.from(first);
  for (const other of others) {
    for (let i = 0; i < result.length; i++) {
      result[i] += other[i];
    }
  }
  return result;
}

/** Two vectors, multiplied unit by unit. */
function multiply(a, b) {
  return a.map((value, i) => value * b[i]);
}

function scale(vector, factor) {
  return vector.map((value) => value * factor);
}

function dot(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) {
    sum += a[i] * b[i];
  }
  return sum;
}

/** [a; b]: a above b, one vector. */
function join(a, b) {
  const result = new Float32Array(a.length + b.length);
  result.set(a);
  result.set(b, a.length);
  return result;
}

function tanh(vector) {
  return vector.map(Math.tanh);
}

function sigmoid(vector) {
  return vector.map((value) => 1 / (1 + Math.exp(-value)));
}

function softmax(logits) {
  const largest = Math.max(...logits);
  const powers = Array.from(logits, (value) => Math.exp(value - largest));
  const sum = powers.reduce((total, value) => total + value, 0);
  return powers.map((value) => value / sum);
}

/** The place of the largest value, the first of several. */
function argmax(values) {
  let best = 0;
  for (let i = 1; i < values.length; i++) {
    if (values[i] > values[best]) {
      best = i;
    }
  }
  return best;
}

// ---- The LSTM of chapters 05, 09 and 10 ------------------------------------------------

/** The weights of an nn.LSTM: PyTorch stacks the rows of the gates in the order i, f, c~, o. */
function lstmWeights(weights, layer, suffix = "") {
  return {
    W_x: weights[`${layer}.weight_ih_l0${suffix}`],
    W_h: weights[`${layer}.weight_hh_l0${suffix}`],
    b: add(weights[`${layer}.bias_ih_l0${suffix}`], weights[`${layer}.bias_hh_l0${suffix}`]),
  };
}

/** One step: the input x_t and the two states before it give the two states after it. */
function lstmStep(lstm, x_t, h_prev, c_prev) {
  const H = h_prev.length;
  // W [h_{t-1}; x_t] + b for i, f, c~ and o, one below the other
  const read = times(lstm.W_x, x_t);
  const sums = add(read, times(lstm.W_h, h_prev), lstm.b);
  // i_t = s(W_i [h_{t-1}; x_t] + b_i)       what to write
  const i_t = sigmoid(sums.subarray(0, H));
  // f_t = s(W_f [h_{t-1}; x_t] + b_f)       what to keep
  const f_t = sigmoid(sums.subarray(H, 2 * H));
  // c~_t = tanh(W_c [h_{t-1}; x_t] + b_c)   the candidate
  const candidate = tanh(sums.subarray(2 * H, 3 * H));
  // o_t = s(W_o [h_{t-1}; x_t] + b_o)       what to show
  const o_t = sigmoid(sums.subarray(3 * H));
  // c_t = f_t * c_{t-1} + i_t * c~_t
  const kept = multiply(f_t, c_prev);
  const c_t = add(kept, multiply(i_t, candidate));
  // h_t = o_t * tanh(c_t)
  const h_t = multiply(o_t, tanh(c_t));
  return [h_t, c_t];
}
