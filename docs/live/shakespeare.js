// Chapter 10 in JavaScript: a language model of Shakespeare, character by character.
"use strict";

const UNKNOWN = 0; // the index of every character that training has not seen

function openShakespeare(model) {
  const weights = unpack(model);
  return {
    embedding: weights["embedding.weight"],
    lstm: lstmWeights(weights, "rnn"),
    W: weights["output.weight"],
    b: weights["output.bias"],
    numbers: indexTokens(model.vocab),
    symbols: model.vocab,
  };
}

/** The indices of a prompt; without one, of a line break. */
function encodePrompt(net, prompt) {
  const characters = Array.from(prompt || "\n");
  return characters.map((character) => net.numbers.get(character) ?? UNKNOWN);
}

/** One character: its index and the state before it give the next logits, and the state after. */
function characterStep(net, index, [h_prev, c_prev]) {
  const x_t = row(net.embedding, index);
  // h_t, c_t = LSTM(x_t, h_{t-1}, c_{t-1})
  const [h_t, c_t] = lstmStep(net.lstm, x_t, h_prev, c_prev);
  // z_t = W h_t + b
  const z_t = add(times(net.W, h_t), net.b);
  return { logits: z_t, state: [h_t, c_t] };
}

/** Read a prompt from zeros: the logits after its last character, and the state. */
function readPrompt(net, indices) {
  const zeros = new Float32Array(net.lstm.W_h.cols);
  let step = { logits: null, state: [zeros, zeros] };
  for (const index of indices) {
    step = characterStep(net, index, step.state);
  }
  return step;
}

/** Logits -> probabilities.  Temperature first, then top-k, then top-p; 0 and 1 exclude nothing. */
function nextProbabilities(z, temperature, topK, topP) {
  if (temperature === 0) {
    const best = argmax(z);
    return Array.from(z, (_, i) => (i === best ? 1 : 0));
  }
  // z_i / temperature; less the largest, so nothing overflows
  const top = Math.max(...z);
  const logits = Array.from(z, (z_i) => (z_i - top) / temperature);
  // The likeliest character first.
  const order = [...logits.keys()];
  order.sort((i, j) => logits[j] - logits[i]);
  if (topK > 0) {
    const last = order[Math.min(topK, order.length) - 1];
    const least = logits[last];
    for (const i of order) {
      if (logits[i] < least) logits[i] = -Infinity;
    }
  }
  if (topP < 1) {
    const p = softmax(logits);
    let before = 0; // what the likelier ones have together
    for (const i of order) {
      if (before >= topP) logits[i] = -Infinity;
      before += p[i];
    }
  }
  // exp(z_i / temperature) / sum over j of exp(z_j / temperature)
  return softmax(logits);
}

/** Random numbers from 0 to 1, the same for the same seed. */
function randomNumbers(seed) {
  let state = (seed * 7919 + 12345) % 2147483647 || 1;
  return () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
}

/** Draw an index: index i with probability p[i]. */
function draw(p, random) {
  let left = random();
  for (let i = 0; i < p.length; i++) {
    left -= p[i];
    if (left < 0) {
      return i;
    }
  }
  return argmax(p);
}

/** Start to write after a prompt.  Each call of the function returned gives one more character. */
function startWriting(net, prompt, seed) {
  let { logits, state } = readPrompt(net, encodePrompt(net, prompt));
  const random = randomNumbers(seed);
  function next(temperature, topK, topP) {
    logits[UNKNOWN] = -Infinity; // "something rare" cannot be written down
    const index = draw(nextProbabilities(logits, temperature, topK, topP), random);
    ({ logits, state } = characterStep(net, index, state));
    return net.symbols[index];
  }
  next.logits = () => logits; // what the network expects now
  return next;
}
