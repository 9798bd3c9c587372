// Chapter 09 in JavaScript, --task dates: "friday, 3 march 2017" becomes "2017-03-03".
"use strict";

const DATES = { UNK: 1, BOS: 2, EOS: 3, LONGEST: 60 };

/** The characters of a text as chapter 09 reads them: lower case, single spaces. */
function dateCharacters(text) {
  // Python's lower() and split(): these are the spaces that it knows.
  const words = text.toLowerCase().split(/[\s\u001c-\u001f\u0085]+/u);
  return Array.from(words.filter(Boolean).join(" "));
}

function openDates(model) {
  const weights = unpack(model);
  return {
    read: weights["source_embedding.weight"],
    written: weights["target_embedding.weight"],
    forward: lstmWeights(weights, "encoder"),
    backward: lstmWeights(weights, "encoder", "_reverse"),
    decoder: lstmWeights(weights, "decoder"),
    W_c: weights["readout.weight"],
    b_c: weights["readout.bias"],
    W_o: weights["output.weight"],
    b_o: weights["output.bias"],
    numbers: indexTokens(model.vocabs[0]),
    tokens: model.vocabs[1],
  };
}

/** The encoder reads in both directions: outputs h_1 ... h_S, and the decoder's first state. */
function encodeDate(net, characters) {
  const size = Math.sqrt(net.read.cols); // tables are multiplied by sqrt(E) when they are read
  const inputs = characters.map((character) =>
    scale(row(net.read, net.numbers.get(character) ?? DATES.UNK), size),
  );
  const zeros = new Float32Array(net.forward.W_h.cols);
  let h = zeros, c = zeros, hBack = zeros, cBack = zeros; // prettier-ignore
  const left = inputs.map((x_t) => ([h, c] = lstmStep(net.forward, x_t, h, c))[0]);
  const right = inputs
    .slice()
    .reverse()
    .map((x_t) => ([hBack, cBack] = lstmStep(net.backward, x_t, hBack, cBack))[0])
    .reverse();
  const outputs = left.map((state, s) => join(state, right[s])); // S vectors h_s
  return { outputs, state: [join(h, hBack), join(c, cBack)] };
}

/** One step: the character before, y_{t-1}, and the state give the probabilities of the next. */
function attentionStep(net, y_prev, [d_prev, e_prev], outputs) {
  const E = net.written.cols;
  const x_t = scale(row(net.written, y_prev), Math.sqrt(E));
  // d_t, e_t = LSTM(y_{t-1}, d_{t-1}, e_{t-1})
  const [d_t, e_t] = lstmStep(net.decoder, x_t, d_prev, e_prev);
  // score(d_t, h_s) = d_t . h_s
  const scores = outputs.map((h_s) => dot(d_t, h_s));
  // a_ts = exp(score(d_t, h_s)) / sum over r of exp(...)
  const a_t = softmax(scores);
  // context_t = sum over s of a_ts h_s
  const parts = outputs.map((h_s, s) => scale(h_s, a_t[s]));
  const context_t = add(...parts);
  // f_t = tanh(W_c [d_t ; context_t] + b_c)
  const joint = join(d_t, context_t);
  const f_t = tanh(add(times(net.W_c, joint), net.b_c));
  // p(y_t | y_1 ... y_{t-1}, x) = softmax(W_o f_t + b_o)
  const p = softmax(add(times(net.W_o, f_t), net.b_o));
  return { state: [d_t, e_t], weights: a_t, probabilities: p };
}

/** Write the likeliest character again and again: rows {token, weights, probabilities}. */
function answerDate(net, characters) {
  const { outputs, state } = encodeDate(net, characters);
  const rows = [];
  let token = DATES.BOS;
  let before = state;
  while (rows.length < DATES.LONGEST) {
    const step = attentionStep(net, token, before, outputs);
    token = argmax(step.probabilities);
    before = step.state;
    rows.push({ token: net.tokens[token], ...step });
    if (token === DATES.EOS) {
      break;
    }
  }
  return rows;
}
