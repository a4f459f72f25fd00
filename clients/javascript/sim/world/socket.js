/** What else a page does delays its turn by so much in the mean, ms. */
const PAGE_BUSY = 1;
/** After so long a browser gives up a connection that nobody answers, ms. */
const UNREACHABLE = 1000;

/**
 * What a viewer's browser has in place of `WebSocket`: frames travel over the viewer's line, and a page hears of them
 * when it has time, in order.
 *
 * @param {import('./world.js').World} world
 * @param {import('./server.js').Server} server
 * @param {object} viewer
 * @param {object} viewer.line both directions, see link.js
 * @param {() => boolean} viewer.isReachable whether there is a network at all
 * @param {() => number} viewer.node which node a new connection gets
 * @param {object} viewer.person who it is, for the server
 * @param {(socket: {lose: () => void}) => void} viewer.onsocket called with each new socket
 */
export function socketsOf(world, server, viewer) {
  const random = world.random.fork();

  return class Socket {
    onmessage = null;
    onclose = null;
    onerror = null;
    #connection = null;
    #turn = 0;
    #isOver = false;

    constructor() {
      viewer.onsocket(this);
      const { up, down } = viewer.line;
      if (!viewer.isReachable()) {
        world.after(UNREACHABLE, () => this.lose());
        return;
      }
      // One round trip for TCP and half a one until the server has the request.
      world.after(up.base * 2 + down.base, () => this.#open());
    }

    send(text) {
      if (!this.#isOver) this.#connection?.send(JSON.parse(text));
    }

    close(code = 1005) {
      this.#end(code);
    }

    /** The network under it is gone, or the node. */
    lose() {
      this.#end(1006);
    }

    #open() {
      if (this.#isOver || !viewer.isReachable()) return;
      const hear = (frame) => this.#inTurn(() => this.onmessage?.({ data: JSON.stringify(frame) }));
      this.#connection = server.connect(viewer.line, hear, () => this.lose(), viewer.node(), viewer.person);
    }

    #end(code) {
      if (this.#isOver) return;
      this.#isOver = true;
      this.#connection?.close();
      world.after(0, () => {
        world.settled();
        this.onclose?.({ code, reason: '' });
      });
    }

    #inTurn(act) {
      this.#turn = Math.max(this.#turn, world.time + random.exponential(PAGE_BUSY));
      world.at(this.#turn, () => this.#isOver || act());
    }
  };
}
