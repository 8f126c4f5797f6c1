import { connect, createServer, type Server, type Socket } from 'node:net';

/** Stands between client and server and cuts their connections. */
export class CuttingProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Port of the server. */
  target: number;
  /** Bytes from the server after which a connection is cut, and how many connections still are. */
  cutAfter = Infinity;
  cutsLeft = 0;
  /** Connections that were cut. */
  cuts = 0;
  /** Connections are closed as soon as they come. */
  refuses = false;

  private constructor(target: number) {
    this.target = target;
    this.#server = createServer((client) => {
      this.#join(client);
    });
  }

  /** `port`: where it listens; 0: at a free one. */
  static async start(target: number, port = 0): Promise<CuttingProxy> {
    const proxy = new CuttingProxy(target);
    await new Promise<void>((resolve) => proxy.#server.listen(port, '127.0.0.1', resolve));
    return proxy;
  }

  get address(): string {
    const address = this.#server.address();
    return `127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`;
  }

  /** Cuts every connection that there is. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #join(client: Socket): void {
    if (this.refuses) {
      client.destroy();
      return;
    }
    const server = connect(this.target, '127.0.0.1');
    let bytes = 0;
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(from);
      from.on('error', () => undefined); // a connection that was cut
      from.on('close', () => {
        this.#sockets.delete(from);
        to.destroy();
      });
      from.on('data', (chunk) => {
        const isCut = from === server && this.cutsLeft > 0 && bytes + chunk.length >= this.cutAfter;
        // No more goes through than was said: a stream that comes in one piece is cut as often as any other.
        to.write(isCut ? chunk.subarray(0, Math.max(0, this.cutAfter - bytes)) : chunk);
        if (from === server) bytes += chunk.length;
        if (!isCut) return;
        this.cutsLeft -= 1;
        this.cuts += 1;
        client.resetAndDestroy();
      });
    }
  }
}
