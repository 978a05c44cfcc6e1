// Runs in the page's audio thread: hands every block of samples to the probe.
registerProcessor(
  'recorder',
  class extends AudioWorkletProcessor {
    process(inputs) {
      if (inputs[0][0]) this.port.postMessage(inputs[0][0].slice());
      return true;
    }
  },
);
