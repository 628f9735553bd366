// SPDX-License-Identifier: Apache-2.0
import process from 'node:process';
import { isMainThread } from 'node:worker_threads';
import { type DiagLogger, diag, type MeterProvider, metrics, type Span, type TracerProvider } from '@opentelemetry/api';
import { InstrumentationBase } from '@opentelemetry/instrumentation';
import { isEnabled, resolveConfig, sdkIsDisabled } from './config.js';
import { debugSink } from './debug-sink.js';
import { DelayMeter } from './delay/delay.js';
import { DelayWindow } from './delay/delay-window.js';
import type { Attribution } from './following/attribution.js';
import { Following } from './following/following.js';
import { LateBeats } from './following/late-beats.js';
import { OnDemand } from './following/on-demand.js';
import { BlockMonitor } from './monitor/block-monitor.js';
import { EvidenceCollector } from './monitor/evidence.js';
import { LoopWatch } from './monitor/watch.js';
import { registered } from './otel/registered.js';
import { type LoggerProvider, Sdk } from './otel/sdk.js';
import { IdleMode } from './recorder/idle-mode.js';
import { SliceRecorder } from './recorder/recorder.js';
import { StartUp } from './recorder/start-up.js';
import { TracedRecorder } from './recorder/traced-recorder.js';
import { LoopMetrics } from './report/metrics.js';
import { QuietReporter } from './report/quiet-reporter.js';
import { Reporter } from './report/reporter.js';
import { observeRuntimeMetrics } from './report/runtime-metrics.js';
import { hasIdleClock } from './system/clock.js';
import { Guard } from './system/guard.js';
import { endOwnCode } from './system/own-code.js';
import { HAS_SHARED_MEMORY } from './system/shared-memory.js';
import { threadTimeReader } from './system/thread-time.js';
import { startTimer } from './system/timers.js';
import type { EventLoopInstrumentationConfig, StackFrame } from './types.js';
import { PACKAGE_NAME, PACKAGE_VERSION } from './version.js';
import { ThreadProfiler } from './watchdog/thread-profiler.js';
import { Watchdog } from './watchdog/watchdog.js';

/**
 * One watch per thread, also where two copies of this package are loaded (ESM and CJS, or two versions): measuring
 * twice would count everything twice.
 */
const OWNER_KEY = Symbol.for(PACKAGE_NAME);
const owners = globalThis as unknown as Record<symbol, EventLoopInstrumentation | undefined>;

const NOT_ON_DEMAND =
  "blocks are reported under no span: attribution 'on-demand' takes the watchdog and the inspector; 'exact' does without";

/** A program is up by then. Milliseconds. */
const TELL_MILLIS = 1_000;

type Logger = InstrumentationBase['logger'];

/**
 * What `registerInstrumentations` calls, NodeSDK's as well, one right after the other. It enables whatever is disabled
 * by its options, and nothing else tells that from a call of the user's own.
 */
const REGISTRATION = ['setTracerProvider', 'setMeterProvider', 'setLoggerProvider', 'getConfig', 'enable'] as const;

/**
 * Names the span that blocked the event loop, in the traces themselves, and records how late the loop was.
 *
 * ```ts
 * new NodeSDK({ instrumentations: [new EventLoopInstrumentation()] }).start();
 * ```
 *
 * Never throws: a bad option costs one `diag` line and its default is used.
 */
export class EventLoopInstrumentation extends InstrumentationBase<EventLoopInstrumentationConfig> {
  // Declared, not initialised: the base constructor calls enable() before this class's fields would be set.
  declare private _watch: LoopWatch | undefined;
  declare private _evidence: EvidenceCollector | undefined;
  /** Only with `workerWatchdogs`. */
  declare private _threadProfiler: ThreadProfiler | undefined;
  declare private _loopMetrics: LoopMetrics | undefined;
  /** Only with `runtimeMetrics`. */
  declare private _delayWindow: DelayWindow | undefined;
  declare private _stopRuntimeMetrics: (() => void) | undefined;
  declare private _meterProviderIsChosen: boolean | undefined;
  declare private _metricsFrom: MeterProvider | undefined;
  /** How many of the calls of {@link REGISTRATION} were the last ones. */
  declare private _registered: number | undefined;
  /** What is said once somebody listens. */
  declare private _untold: (() => void)[] | undefined;
  declare private _foundSdk: Sdk | undefined;
  declare private _logsTo: { readonly provider: LoggerProvider; readonly logger: Logger } | undefined;

  /** Registered from the command line: gives way to one that the application registers in code. */
  get isPreloaded(): boolean {
    return false;
  }

  constructor(config: EventLoopInstrumentationConfig = {}) {
    super(PACKAGE_NAME, PACKAGE_VERSION, config);
  }

  protected override init(): [] {
    return [];
  }

  /**
   * Starts watching, also after `enabled: false`, which only keeps NodeSDK from starting it. Does nothing when already
   * enabled, where another copy watches, or with `OTEL_SDK_DISABLED=true`.
   */
  override enable(): void {
    const isAsked = this._config.enabled || !this._isRegistration('enable');
    if (this._watch) return;
    const reason = isAsked ? this._whyNot(process.env) : 'it is off by its options';
    if (reason !== undefined) {
      this._tell('info', `stands aside: ${reason}`);
      return;
    }
    super.enable();
    if (!hasIdleClock()) {
      this._tell('warn', 'stands aside: this runtime does not tell how long its event loop waits');
      return;
    }
    const owner = owners[OWNER_KEY];
    if (owner?.isPreloaded) {
      owner.disable();
      this._tell('info', 'takes the place of the one that the command line has loaded');
    } else if (owner) {
      this._tell('warn', 'another EventLoopInstrumentation already watches this thread; this one stands aside');
      return;
    }
    owners[OWNER_KEY] = this;

    const sink = debugSink();
    const log = this._log();
    const given = resolveConfig(this._config, process.env, (message) => log.warn(message));
    const most = sink?.maxThresholdMillis ?? Number.POSITIVE_INFINITY;
    const config = {
      ...given,
      blockThresholdMillis: Math.min(given.blockThresholdMillis, most),
      // The sink is told of each slice.
      attribution: sink ? 'exact' : given.attribution,
    } as const;
    this._delayWindow = config.runtimeMetrics ? new DelayWindow() : undefined;
    const isWatched = config.watchdog && (isMainThread || config.workerWatchdogs);
    const watchdog = isWatched && hasSharedMemory(log) ? new Watchdog(config, log, this._sdk) : undefined;
    const guard = new Guard(log);
    const reporter = this._isQuiet ? new QuietReporter(guard) : new Reporter(config, this._telemetry(), log, guard);
    const delay = new DelayMeter((waitMillis) => reporter.onDelay(waitMillis), this._delayWindow);
    const evidence = new EvidenceCollector(watchdog);
    const monitor = new BlockMonitor(config, reporter, delay, evidence, watchdog, guard);
    const { blockThresholdMillis, delayIntervalMillis } = config;
    const settings = [blockThresholdMillis, delayIntervalMillis, monitor] as const;
    const onNewSpanClass = (span: Span): void => watchdog?.learnSdk(span);
    const recorder = (): SliceRecorder =>
      sink ? new TracedRecorder(sink, ...settings, watchdog?.memory) : new SliceRecorder(...settings, watchdog?.memory);
    const beats = new LateBeats(...settings, () => watchdog?.noteStarting(false));
    const tracerProvider = (): object | undefined => this._sdk.tracerProvider;
    const following = new Following(recorder(), onNewSpanClass, blockThresholdMillis, tracerProvider);
    let attribution: Attribution | undefined = following;
    if (config.attribution === 'on-demand') {
      attribution = undefined;
      if (watchdog?.canLook) {
        const idle = new IdleMode(watchdog.memory.slots, watchdog.memory, delayIntervalMillis);
        attribution = new OnDemand(blockThresholdMillis, following, beats, threadTimeReader(), idle, log);
      } else {
        log.warn(NOT_ON_DEMAND);
      }
    }
    const watch = new LoopWatch(
      config,
      attribution,
      beats,
      monitor,
      watchdog,
      log,
      sink && ((...seen) => sink.onStackSample(...seen)),
    );
    this._watch = watch;
    this._evidence = evidence;
    if (config.watchdog && config.workerWatchdogs) this._threadProfiler = new ThreadProfiler();
    this._threadProfiler?.start();
    evidence.start();
    watch.start(sink?.hasStarted ? undefined : StartUp.now());
  }

  /** Takes every hook, wrap, timer and listener off again. */
  override disable(): void {
    super.disable();
    this._registered = 0;
    this.flush();
    this._watch?.stop();
    this._watch = undefined;
    this._evidence?.stop();
    this._evidence = undefined;
    this._threadProfiler?.stop();
    this._threadProfiler = undefined;
    this._delayWindow = undefined;
    this._stopRuntimeMetrics?.();
    this._stopRuntimeMetrics = undefined;
    if (owners[OWNER_KEY] === this) owners[OWNER_KEY] = undefined;
  }

  override getConfig(): EventLoopInstrumentationConfig {
    this._isRegistration('getConfig');
    return super.getConfig();
  }

  /** Takes effect at once: what is being watched is reported, and watched anew. `enabled: false` stops it. */
  override setConfig(config: EventLoopInstrumentationConfig): void {
    const isWatching = this._watch !== undefined;
    this.disable();
    const warn = (message: string): void => (this._diag ?? diag).warn(message);
    super.setConfig({ ...config, enabled: isEnabled(config?.enabled, process.env, warn) });
    if (isWatching && this._config.enabled) this.enable();
  }

  /** Where frames of a block stand in their sources, as far as the watchdog finds that in time. */
  async _resolve(frames: readonly StackFrame[]): Promise<readonly StackFrame[]> {
    return this._watch === undefined ? frames : this._watch.resolve(frames);
  }

  /** See {@link allowBlocking}. */
  _allowBlocking<T>(fn: () => T): T {
    return this._watch === undefined ? fn() : this._watch.allowBlocking(fn);
  }

  /** Reports what is known by now, the iteration that still runs included. */
  flush(): void {
    this._watch?.flush();
  }

  /**
   * The base class asks the copy of the API's logs that it finds, of which there are several: that of `api-logs` for each
   * version, and that of the API itself from 1.10 on. Asked once of each provider: one that is shut down complains.
   */
  protected override get logger(): Logger {
    const provider = this._sdk.loggerProvider;
    if (provider === undefined) return super.logger;
    if (provider !== this._logsTo?.provider) {
      this._logsTo = { provider, logger: provider.getLogger(PACKAGE_NAME, PACKAGE_VERSION) as Logger };
    }
    return this._logsTo.logger;
  }

  /** Why this must not watch, whoever asks; undefined where it may. */
  protected _whyNot(environment: NodeJS.ProcessEnv): string | undefined {
    return sdkIsDisabled(environment) ? 'OTEL_SDK_DISABLED' : undefined;
  }

  /** NodeSDK may say only after this who listens: it has by the time that it registers this, or a second from now. */
  private _tell(level: 'info' | 'warn', message: string): void {
    this._untold = [...(this._untold ?? []), () => this._log()[level](message)];
    if (!this._tellAll()) startTimer(() => this._tellAll(), TELL_MILLIS).unref();
  }

  private _tellAll(): boolean {
    if (this._log() === this._diag && registered()?.diag === undefined) return false;
    for (const tell of this._untold ?? []) tell();
    this._untold = undefined;
    return true;
  }

  /** Whether blocks are published on the channel and nowhere else. */
  protected get _isQuiet(): boolean {
    return false;
  }

  /** Where what has to be said in words goes. */
  protected _log(): DiagLogger {
    return this._diag;
  }

  override setTracerProvider(tracerProvider: TracerProvider): void {
    this._isRegistration('setTracerProvider');
    this._tellAll();
    this._sdk.giveTracerProvider(tracerProvider);
    super.setTracerProvider(tracerProvider);
  }

  override setLoggerProvider(loggerProvider: Parameters<InstrumentationBase['setLoggerProvider']>[0]): void {
    this._isRegistration('setLoggerProvider');
    this._sdk.giveLoggerProvider(loggerProvider);
    super.setLoggerProvider(loggerProvider);
  }

  override setMeterProvider(meterProvider: MeterProvider): void {
    this._isRegistration('setMeterProvider');
    // To one from the command line: a no-op ahead of the SDK, which may be one of another copy of the API package (ESM and
    // CommonJS), and nothing tells that from one that somebody has chosen. It uses the global one, whenever that appears.
    if (this.isPreloaded) return;
    // Handed over before the SDK is up, the global one is a no-op; anything else somebody has chosen.
    this._meterProviderIsChosen = meterProvider !== metrics.getMeterProvider();
    super.setMeterProvider(meterProvider);
  }

  /** The base class calls this up to three times, once even before the constructor is through. */
  protected override _updateMetricInstruments(): void {
    this._loopMetrics = undefined;
    this._stopRuntimeMetrics?.();
    this._stopRuntimeMetrics = undefined;
  }

  private get _sdk(): Sdk {
    this._foundSdk ??= new Sdk();
    return this._foundSdk;
  }

  /** Whether `call` is the last one of a registration. */
  private _isRegistration(call: (typeof REGISTRATION)[number]): boolean {
    const isNext = call === REGISTRATION[this._registered ?? 0];
    if (isNext) this._registered = (this._registered ?? 0) + 1;
    else this._registered = call === REGISTRATION[0] ? 1 : 0;
    return this._registered === REGISTRATION.length;
  }

  private _telemetry(): ConstructorParameters<typeof Reporter>[1] {
    const self = this;
    return {
      get tracer() {
        // Ours waits for an SDK that is registered with the very copy of the API that we have loaded.
        const provider = self._sdk.tracerProvider as TracerProvider | undefined;
        return provider?.getTracer(PACKAGE_NAME, PACKAGE_VERSION) ?? self.tracer;
      },
      get logger() {
        return self.logger;
      },
      get metrics() {
        return self._metrics();
      },
    };
  }

  /**
   * Made on the first beat, when the SDK is up: one that is started from a config file never calls setMeterProvider.
   * Made anew where an SDK is up only later, behind `./register`.
   */
  private _metrics(): LoopMetrics {
    const global = metrics.getMeterProvider();
    if (!this._meterProviderIsChosen && this._metricsFrom !== global) {
      this._metricsFrom = global;
      super.setMeterProvider(global);
    }
    if (this._loopMetrics === undefined) {
      this._loopMetrics = new LoopMetrics(this.meter);
    }
    if (this._delayWindow !== undefined) {
      this._stopRuntimeMetrics ??= observeRuntimeMetrics(this.meter, this._delayWindow);
    }
    return this._loopMetrics;
  }
}

/**
 * Runs `fn` and returns what it returns. What runs in it synchronously makes no block and no hang, however long it
 * takes: for code that blocks on purpose, such as a migration ahead of the first request. The time is still in
 * `eventloop.time` and `eventloop.delay`, which say what is, and other spans that waited for it are not marked.
 *
 * Without an EventLoopInstrumentation it only calls `fn`. What `fn` throws is thrown.
 */
export function allowBlocking<T>(fn: () => T): T {
  // The one in charge may be of another version of this package.
  const owner = owners[OWNER_KEY];
  return typeof owner?._allowBlocking === 'function' ? owner._allowBlocking(fn) : fn();
}

/** Whoever watches this thread, in whichever copy of this package. */
export function watcher():
  | Pick<EventLoopInstrumentation, 'isPreloaded' | 'flush' | 'disable' | 'enable' | '_resolve'>
  | undefined {
  return owners[OWNER_KEY];
}

function hasSharedMemory(log: DiagLogger): boolean {
  if (HAS_SHARED_MEMORY) return true;
  log.warn('the watchdog stands aside: there is no shared memory; blocks are reported without stacks, hangs are not');
  return false;
}

endOwnCode();
