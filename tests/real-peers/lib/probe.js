// Runs in the page before its own scripts: remembers each remote audio track, records it as raw PCM, and can put speech
// in place of the microphone. The page under test knows nothing of it.
(() => {
  const tracks = [];
  const connections = [];
  const Original = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Original {
    constructor(...args) {
      super(...args);
      connections.push(this);
      this.addEventListener('track', (event) => event.track.kind === 'audio' && tracks.push(event.track));
    }
  };

  let recording;
  let watching;

  /** What the far side said of itself in its last description. */
  const described = (connection) => {
    const { sdp } = connection.remoteDescription;
    const lines = (pattern) => [...sdp.matchAll(pattern)].map((match) => match[1]);
    return {
      fingerprint: lines(/^a=fingerprint:(.*)$/gm)[0]?.trim(),
      ufrag: lines(/^a=ice-ufrag:(.*)$/gm)[0]?.trim(),
      ssrcs: [...new Set(lines(/^a=ssrc:(\d+)/gm))],
    };
  };

  const probe = {
    /** Replaces the microphone by this WAV file (base64), looped. */
    useMicrophone(wav) {
      navigator.mediaDevices.getUserMedia = async () => {
        const context = new AudioContext({ sampleRate: 48000 });
        const bytes = Uint8Array.from(atob(wav), (letter) => letter.charCodeAt(0));
        const source = context.createBufferSource();
        source.buffer = await context.decodeAudioData(bytes.buffer);
        source.loop = true;
        const sink = context.createMediaStreamDestination();
        source.connect(sink);
        source.start();
        await context.resume();
        return sink.stream;
      };
    },

    remoteTracks: () => tracks.filter((track) => track.readyState === 'live').length,

    /** Begins to record the latest remote audio track that is live. */
    async startRecording() {
      const track = tracks.filter((each) => each.readyState === 'live').at(-1);
      if (!track) throw new Error('no remote audio track');
      const stream = new MediaStream([track]);
      const element = new Audio(); // Chromium feeds Web Audio only from a remote track that some element plays
      element.muted = true;
      element.srcObject = stream;
      await element.play();
      const context = new AudioContext({ sampleRate: 48000 });
      const chunks = [];
      await context.audioWorklet.addModule('/__recorder.js');
      const tap = new AudioWorkletNode(context, 'recorder', { numberOfOutputs: 0 });
      tap.port.onmessage = (message) => chunks.push(message.data);
      context.createMediaStreamSource(stream).connect(tap);
      await context.resume();
      recording = { context, chunks, element };
    },

    /** Ends the recording: 16-bit samples at 48 kHz as base64. */
    async stopRecording() {
      const { context, chunks, element } = recording;
      recording = undefined;
      await context.close();
      element.srcObject = null;
      const samples = new Int16Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
      let at = 0;
      for (const chunk of chunks) for (const value of chunk) samples[at++] = Math.max(-1, Math.min(1, value)) * 32767;
      const bytes = new Uint8Array(samples.buffer);
      let text = '';
      for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
      return btoa(text);
    },

    /** Begins to watch the newest connection: who is heard and since when, and what becomes of DTLS. */
    watch() {
      const connection = connections.at(-1);
      const dtls = connection.getSenders()[0].transport;
      const watched = { sources: {}, events: [], before: described(connection), connections: connections.length };
      for (const kind of ['connectionstatechange', 'track']) {
        connection.addEventListener(kind, () => watched.events.push([kind, connection.connectionState]));
      }
      dtls.addEventListener('statechange', () => watched.events.push(['dtls', dtls.state]));
      const look = () => {
        for (const receiver of connection.getReceivers()) {
          for (const { source, timestamp, audioLevel } of receiver.getSynchronizationSources()) {
            const seen = (watched.sources[source] ??= { packetAt: Date.now() });
            seen.lastAt = timestamp;
            // -40 dBov: somebody speaks.
            if (audioLevel === undefined || audioLevel > 0.01) seen.soundAt ??= Date.now();
          }
        }
      };
      look();
      const timer = setInterval(look, 10);
      watching = () => {
        clearInterval(timer);
        const after = described(connection);
        const sameDtls = connection.getSenders()[0].transport === dtls && dtls.state === 'connected';
        return { ...watched, after, sameDtls, sameConnection: connections.length === watched.connections };
      };
    },

    /** Ends to watch, and tells. */
    watched: () => watching(),

    /** The candidate pair in use: `{ local, remote }`, their statistics. */
    async path() {
      const report = await connections.at(-1).getStats();
      const all = [...report.values()];
      const chosen = all.find(({ type, selectedCandidatePairId }) => type === 'transport' && selectedCandidatePairId)?.selectedCandidatePairId;
      // Firefox marks the pair itself.
      const pair = report.get(chosen) ?? all.find(({ type, selected }) => type === 'candidate-pair' && selected);
      return { local: { ...report.get(pair?.localCandidateId) }, remote: { ...report.get(pair?.remoteCandidateId) } };
    },

    /** What the newest connection says about itself: `{ received, sent, lost, codec }` of audio, and its states. */
    async statistics() {
      const connection = connections.at(-1);
      const found = { connection: connection?.connectionState, ice: connection?.iceConnectionState };
      if (!connection) return found;
      const report = [...(await connection.getStats()).values()];
      for (const entry of report) {
        if (entry.type === 'inbound-rtp' && entry.kind === 'audio') {
          found.received = entry.packetsReceived;
          found.lost = entry.packetsLost;
          found.codec = report.find((each) => each.id === entry.codecId)?.mimeType;
        } else if (entry.type === 'outbound-rtp' && entry.kind === 'audio') {
          found.sent = entry.packetsSent;
        }
      }
      return found;
    },
  };
  Object.defineProperty(window, '__probe', { value: probe });
})();
