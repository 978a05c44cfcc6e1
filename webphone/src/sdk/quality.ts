/** What the browser itself measures of a call. Loss and jitter are of the sound that arrives here. */
export interface CallQuality {
  roundTripMs: number | undefined;
  /** Share of packets lost since the sample before, in percent. */
  lossPercent: number | undefined;
  jitterMs: number | undefined;
  codec: string | undefined;
  packetsSent: number;
  packetsReceived: number;
  packetsLost: number;
}

interface StatsEntry {
  id: string;
  type: string;
  kind?: string;
  state?: string;
  nominated?: boolean;
  selected?: boolean;
  selectedCandidatePairId?: string;
  currentRoundTripTime?: number;
  roundTripTime?: number;
  packetsReceived?: number;
  packetsLost?: number;
  packetsSent?: number;
  jitter?: number;
  codecId?: string;
  mimeType?: string;
}

/** Turns getStats() reports into quality; keeps the sample before, because loss is a difference. */
export class QualityMeter {
  #received = 0;
  #lost = 0;

  update(report: Iterable<[string, unknown]>): CallQuality {
    const entries = new Map([...report].map(([id, entry]) => [id, entry as StatsEntry]));
    const all = [...entries.values()];
    const audio = (type: string) => all.find((entry) => entry.type === type && entry.kind !== 'video');
    const inbound = audio('inbound-rtp');
    const outbound = audio('outbound-rtp');
    const remote = audio('remote-inbound-rtp');

    const packetsReceived = inbound?.packetsReceived ?? 0;
    const packetsLost = Math.max(0, inbound?.packetsLost ?? 0);
    const newReceived = packetsReceived - this.#received;
    const newLost = Math.max(0, packetsLost - this.#lost);
    this.#received = packetsReceived;
    this.#lost = packetsLost;

    // RTCP measures the round trip of the media itself; ICE's checks stand in until the first report.
    const roundTrip = remote?.roundTripTime || selectedPair(entries, all)?.currentRoundTripTime;
    const codec = entries.get(inbound?.codecId ?? outbound?.codecId ?? '')?.mimeType;
    return {
      roundTripMs: roundTrip === undefined ? undefined : roundTrip * 1000,
      lossPercent: newReceived + newLost > 0 ? (100 * newLost) / (newReceived + newLost) : undefined,
      jitterMs: inbound?.jitter === undefined ? undefined : inbound.jitter * 1000,
      codec: codec?.replace(/^audio\//i, ''),
      packetsSent: outbound?.packetsSent ?? 0,
      packetsReceived,
      packetsLost,
    };
  }
}

function selectedPair(entries: Map<string, StatsEntry>, all: StatsEntry[]): StatsEntry | undefined {
  const transport = all.find((entry) => entry.type === 'transport');
  const named = transport?.selectedCandidatePairId && entries.get(transport.selectedCandidatePairId);
  // Firefox has no transport entry and marks the pair itself.
  return named || all.find((entry) => entry.type === 'candidate-pair' && (entry.selected || entry.nominated));
}
