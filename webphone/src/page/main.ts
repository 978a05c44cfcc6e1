// One file, two lives: the page, and in a worker its timers (see timers.ts).
import { serveTimers } from './timers';

if (typeof document === 'undefined') serveTimers();
else void import('./app');
