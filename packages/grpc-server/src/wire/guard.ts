import { randomUUID } from 'node:crypto';

import { EmuError } from '@emu/program';
import { context, propagation, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import {
  Metadata,
  ServerInterceptingCall,
  ServerListenerBuilder,
  status as grpcStatus,
  type ServerInterceptor,
} from '@grpc/grpc-js';
import type { Logger } from 'pino';

import { addressOf, anonymous, checkScope, clientOf, type Caller } from '../access/caller.js';
import type { ServerMetrics } from '../observe/metrics.js';
import type { ArrivingCall, ArrivingRequests } from './arriving-requests.js';
import { keepCallState, refusalMs, type CallState } from './call-state.js';
import { connectionOf, endConnection, onClose, onData, pauseStream, resetStream } from './http2-stream.js';
import type { OpenCall, OpenCalls } from './open-calls.js';
import type { ResetLimit } from './reset-limit.js';
import { callStatus, detailsKey } from './status.js';
import { transportFailure } from './transport-failure.js';

type Call = Parameters<ServerInterceptor>[1];
type Status = Parameters<Call['sendStatus']>[0];

/** What the guard asks of the server. */
export interface Gate {
  readonly metrics: ServerMetrics;
  readonly log: Logger;
  readonly maxRequestBytes: number;
  readonly maxArrivalMs: number;
  readonly calls: OpenCalls;
  readonly arriving: ArrivingRequests;
  readonly resets: ResetLimit;
  /** Who calls. @throws EmuError UNAUTHENTICATED. */
  identify(metadata: Metadata, call: Call): Caller;
  /** @throws EmuError SERVER_DRAINING for a method that is not taken any more. */
  checkOpen(method: string): void;
}

/** Services that anybody may ask: they tell nothing that is not public. */
const publicServices = /^(grpc\.health\.|grpc\.reflection\.)/;

/** Streams that last as long as a training run does; a server that stops ends the run, and the stream with it. */
const endless = /\/WatchTrainingJob$/;

/**
 * Stands before every method: knows the caller, refuses before a message is read, gives every failure its details
 * (those of grpc-js itself too), and counts, times and logs each call once.
 */
export function guard(gate: Gate): ServerInterceptor {
  return (descriptor, call) => {
    const method = descriptor.path.slice(1);
    const watch = new CallWatch(gate, method, call);
    return new ServerInterceptingCall(call, {
      start(next) {
        next(
          new ServerListenerBuilder()
            .withOnReceiveMetadata((metadata, pass) => {
              const refusal = watch.admit(metadata);
              if (refusal === undefined) pass(metadata);
              else call.sendStatus(callStatus(refusal, watch.requestId));
            })
            .withOnReceiveMessage((message, pass) => {
              watch.arrived();
              pass(message);
            })
            .withOnCancel(() => {
              watch.ended(grpcStatus.CANCELLED);
            })
            .build(),
        );
      },
      sendMetadata(metadata, next) {
        if (!publicServices.test(method)) metadata.set('x-request-id', watch.requestId);
        next(metadata);
      },
    });
  };
}

class CallWatch implements OpenCall, ArrivingCall {
  requestId: string = randomUUID();
  readonly #gate: Gate;
  readonly #method: string;
  readonly #call: Call;
  readonly #connection: object | undefined;
  readonly #arrivedAt = performance.now();
  #state: CallState | undefined;
  #stop: ((failure: EmuError) => void) | undefined;
  #isOver = false;
  #hasMessage = false;
  #isResetByUs = false;
  #arrival: NodeJS.Timeout | undefined;

  constructor(gate: Gate, method: string, call: Call) {
    this.#gate = gate;
    this.#method = method;
    this.#call = call;
    this.#connection = connectionOf(call);
    // On the call itself: grpc-js ends calls for reasons of its own past all interceptors.
    const send = call.sendStatus.bind(call);
    call.sendStatus = (status) => {
      const complete = this.#completed(status);
      this.ended(complete.code);
      send(complete);
    };
    onData(call, (bytes) => {
      if (!this.#isOver) gate.arriving.received(this, bytes);
    });
    onClose(call, (code) => {
      if (code !== 0 && !this.#hasMessage && !this.#isResetByUs) this.#brokenOff();
    });
  }

  /** Lets the call in, or says why not. */
  admit(metadata: Metadata): EmuError | undefined {
    const [given] = metadata.get('x-request-id');
    if (typeof given === 'string' && /^[\w.:-]{1,64}$/.test(given)) this.requestId = given;
    try {
      const isPublic = publicServices.test(this.#method);
      const caller = isPublic ? anonymous : this.#gate.identify(metadata, this.#call);
      if (!isPublic) {
        checkScope(caller, this.#method.split('/')[0] ?? '');
        this.#gate.checkOpen(this.#method);
        if (!endless.test(this.#method)) this.#gate.calls.enter(this);
        this.#awaitMessage();
      }
      this.#state = this.#newState(metadata, caller);
      keepCallState(metadata, this.#state);
      return undefined;
    } catch (error) {
      return EmuError.from(error);
    }
  }

  /** A message is whole. */
  arrived(): void {
    this.#hasMessage = true;
    this.#stopWaiting();
  }

  #stopWaiting(): void {
    clearTimeout(this.#arrival);
    this.#gate.arriving.forget(this);
  }

  refuse(failure: EmuError): void {
    pauseStream(this.#call);
    this.stop(failure);
    // What has come of the message is held until the stream is gone; its status needs a moment to be sent.
    setTimeout(() => {
      this.#reset();
    }, refusalMs).unref();
  }

  /** Ends the call before its time; one whose message has not come has nothing else that could end it. */
  stop(failure: EmuError): void {
    if (this.#stop === undefined) this.#call.sendStatus(callStatus(failure, this.requestId));
    else this.#stop(failure);
  }

  /** Counts the end of the call; only the first end counts. */
  ended(code: grpcStatus): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#stopWaiting();
    const { metrics, log, calls } = this.#gate;
    calls.leave(this);
    const method = this.#method;
    const seconds = (performance.now() - this.#arrivedAt) / 1000;
    metrics.requests.inc({ method, code: grpcStatus[code] });
    metrics.requestDuration.observe({ method }, seconds);
    const facts = this.#state?.facts ?? {};
    if (!publicServices.test(method)) {
      const line = { requestId: this.requestId, method, code: grpcStatus[code], seconds, ...facts };
      (this.#state?.log ?? log)[code === grpcStatus.INTERNAL ? 'error' : 'info'](line, 'call');
    }
    const span = this.#state?.span;
    span?.setAttributes({ 'rpc.grpc.status_code': code, ...facts });
    if (code !== grpcStatus.OK) span?.setStatus({ code: SpanStatusCode.ERROR, message: grpcStatus[code] });
    span?.end();
  }

  #reset(): void {
    this.#isResetByUs = true;
    resetStream(this.#call);
  }

  /** The peer reset the call before it had sent its message. */
  #brokenOff(): void {
    const { resets, log } = this.#gate;
    const address = addressOf(this.#call.getPeer());
    if (resets.allows(address) || this.#connection === undefined || !endConnection(this.#connection)) return;
    log.warn({ address }, 'ended a connection that breaks off its calls as it begins them');
  }

  #awaitMessage(): void {
    const { maxArrivalMs } = this.#gate;
    this.#arrival = setTimeout(() => {
      const seconds = maxArrivalMs / 1000;
      this.refuse(
        new EmuError('DEADLINE_EXCEEDED', `[request] the message did not come within ${seconds} seconds`, {
          hint: 'Send the whole request at once, and large media with MediaService.',
          details: { seconds },
        }),
      );
    }, maxArrivalMs);
    this.#arrival.unref();
  }

  #newState(metadata: Metadata, caller: Caller): CallState {
    const method = this.#method;
    const [service = '', rpc = ''] = method.split('/');
    const carrier = Object.fromEntries(
      ['traceparent', 'tracestate'].flatMap((key) =>
        metadata.get(key).map((value) => [key, value.toString()]),
      ),
    );
    const span = trace.getTracer('@emu/grpc-server').startSpan(
      method,
      {
        kind: SpanKind.SERVER,
        attributes: {
          'rpc.system': 'grpc',
          'rpc.service': service,
          'rpc.method': rpc,
          'emu.request_id': this.requestId,
        },
      },
      propagation.extract(context.active(), carrier),
    );
    const log = this.#gate.log.child({ caller: caller.name });
    const reset = (): void => {
      this.#reset();
    };
    const onStop: CallState['onStop'] = (stop) => {
      this.#stop = stop;
    };
    const { requestId } = this;
    const arrivedAt = this.#arrivedAt;
    const client = clientOf(caller, this.#call.getPeer());
    return { requestId, method, caller, client, log, span, arrivedAt, reset, onStop, facts: {} };
  }

  #completed(status: Status): Status {
    const { code, metadata, details } = status;
    if (code === grpcStatus.OK || publicServices.test(this.#method)) return status;
    if ((metadata?.get(detailsKey).length ?? 0) > 0) return status;
    return callStatus(transportFailure(code, details, this.#gate.maxRequestBytes), this.requestId);
  }
}
