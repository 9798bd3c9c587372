// Chapter 04 in JavaScript: which language does a surname come from?
"use strict";

// ---- From a text to letters, as rnn_data.fold_to_ascii does it --------------------------
const SPELLED_OUT = {
  ß: "ss", ł: "l", ø: "o", đ: "d", ð: "d", þ: "th", ı: "i", æ: "ae", œ: "oe", "’": "'",
};

/** Reduce a name to a to z, space, ' and -; "" if none of it is left. */
function foldToAscii(name) {
  const spelled = Array.from(name.toLowerCase(), (letter) => SPELLED_OUT[letter] ?? letter);
  const kept = spelled.join("").normalize("NFD").replace(/[^a-z '-]/g, "");
  return kept.split(" ").filter(Boolean).join(" ");
}

// ---- The model --------------------------------------------------------------------------
function openNames(model) {
  const weights = unpack(model);
  return {
    embedding: weights["embedding.weight"],
    W_x: weights["rnn.W_x.weight"],
    b: weights["rnn.W_x.bias"],
    W_h: weights["rnn.W_h.weight"],
    W_y: weights["output.weight"],
    b_y: weights["output.bias"],
    numbers: indexTokens(model.vocab),
    labels: model.labels,
  };
}

/** One letter: its vector x_t and the state before it give the state after it. */
function rnnStep(net, x_t, h_prev) {
  // h_t = tanh(W_x x_t + W_h h_{t-1} + b)
  const read = times(net.W_x, x_t);
  return tanh(add(read, times(net.W_h, h_prev), net.b));
}

/** The languages, if the name ended at this state. */
function languages(net, h_t) {
  // y = W_y h_t + b_y, and softmax(y) are probabilities
  return softmax(add(times(net.W_y, h_t), net.b_y));
}

/** For each letter of a folded name: {letter, state, probabilities} after it. */
function readName(net, name) {
  const UNK = 1;
  let h_t = new Float32Array(net.b.length); // h_0 = 0
  return Array.from(name, (letter) => {
    const x_t = row(net.embedding, net.numbers.get(letter) ?? UNK);
    h_t = rnnStep(net, x_t, h_t);
    return { letter, state: h_t, probabilities: languages(net, h_t) };
  });
}
