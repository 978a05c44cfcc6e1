// Browsers let the timers of a hidden page fire once a minute at worst, too seldom for heartbeats; those of a worker go on.
import { systemClock, type Clock } from '../sdk';

interface Order {
  id: number;
  /** Absent: cancel. */
  ms?: number;
}

/** The worker's side: says the number of each timer when it is due. */
export function serveTimers(): void {
  const running = new Map<number, number>();
  const port = self as unknown as {
    onmessage: (event: MessageEvent<Order>) => void;
    postMessage(id: number): void;
  };
  port.onmessage = ({ data: { id, ms } }) => {
    clearTimeout(running.get(id));
    running.delete(id);
    if (ms === undefined) return;
    running.set(
      id,
      self.setTimeout(() => {
        running.delete(id);
        port.postMessage(id);
      }, ms),
    );
  };
}

/** The page's side: a clock whose timers run in the worker, or here if there can be none. */
export function workerClock(script: string): Clock {
  let worker: Worker | undefined;
  let nextId = 1;
  const waiting = new Map<number, { callback: () => void; dueAt: number }>();
  const arm = (id: number, ms: number) => {
    if (worker) worker.postMessage({ id, ms } satisfies Order);
    else setTimeout(() => fire(id), ms);
  };
  const fire = (id: number) => {
    const timer = waiting.get(id);
    waiting.delete(id);
    timer?.callback();
  };
  try {
    worker = new Worker(script, { type: 'module' });
    worker.onmessage = ({ data }: MessageEvent<number>) => fire(data);
    worker.onerror = () => {
      worker = undefined;
      for (const [id, { dueAt }] of waiting) arm(id, Math.max(0, dueAt - systemClock.now()));
    };
  } catch {
    worker = undefined;
  }
  return {
    now: systemClock.now,
    after(ms, callback) {
      const id = nextId++;
      waiting.set(id, { callback, dueAt: systemClock.now() + ms });
      arm(id, ms);
      return () => {
        if (waiting.delete(id)) worker?.postMessage({ id } satisfies Order);
      };
    },
  };
}
