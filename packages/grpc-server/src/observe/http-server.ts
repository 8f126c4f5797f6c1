import { createServer, type Server } from 'node:http';

import { EmuError } from '@emu/program';

import type { ServerMetrics } from './metrics.js';

/** `/metrics` for Prometheus and `/healthz` for whoever speaks no gRPC. */
export class ObservationServer {
  readonly #server: Server;

  constructor(metrics: ServerMetrics, isServing: () => boolean) {
    this.#server = createServer((request, response) => {
      const path = (request.url ?? '/').split('?')[0];
      const send = (code: number, type: string, body: string): void => {
        response.writeHead(code, { 'content-type': type }).end(request.method === 'HEAD' ? undefined : body);
      };
      const text = 'text/plain; charset=utf-8';
      if (request.method !== 'GET' && request.method !== 'HEAD') send(405, text, 'GET only\n');
      else if (path === '/healthz')
        send(isServing() ? 200 : 503, text, isServing() ? 'SERVING\n' : 'NOT_SERVING\n');
      else if (path === '/metrics') {
        metrics.registry.metrics().then(
          (body) => {
            send(200, metrics.registry.contentType, body);
          },
          () => {
            send(500, text, 'metrics failed\n');
          },
        );
      } else send(404, text, 'There are /metrics and /healthz.\n');
    });
    this.#server.requestTimeout = 10_000;
    this.#server.maxConnections = 64;
  }

  /** The port it listens on. @throws EmuError INVALID_OPTION when it cannot. */
  async listen(host: string, port: number): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (cause) => {
        reject(
          new EmuError(
            'INVALID_OPTION',
            `[metrics] ${host}:${port} cannot be listened on: ${cause.message}`,
            {
              hint: 'Choose another --metrics-port.',
              cause,
              details: { host, port },
            },
          ),
        );
      });
      this.#server.listen(port, host, resolve);
    });
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : port;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => {
      this.#server.close(() => {
        resolve();
      });
    });
  }
}
