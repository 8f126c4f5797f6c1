// Builds the programs of examples/clients and runs each against `emu serve` on the demo model: what they print is what
// the SDK says here with the same seeds, and the picture that they save has the same pixels.
import { spawn, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Skip, runChecks } from './checks.mjs';
import { makeDemoModel } from './demo-model.mjs';
import { root } from './setup.mjs';

const photograph = join(root, 'testdata', 'pictures', 'chelsea.png');
// Debian's modules are those of Debian's Python, which need not be the first one in PATH.
const python =
  ['/usr/bin/python3', 'python3'].find((name) => !isMissing([name, '-c', 'import grpc'])) ?? 'python3';
// Builds happen in a copy, beside a copy of the protocol, so that the checkout stays as it is.
const scratch = join(root, 'out', 'clients');
const clients = join(scratch, 'examples', 'clients');

// What protoc imports of its own; Debian has it in a package that protobuf-compiler only recommends.
const wellKnown = '/usr/include/google/protobuf/duration.proto';

/** What starts a client that is built, and what its build and run need: programs, and modules of other languages. */
const languages = {
  python: {
    start: [python, 'client.py'],
    needs: [['protoc'], ['grpc_python_plugin'], [python, '-c', 'import grpc, google.protobuf']],
    files: [wellKnown],
    packages: 'python3-grpcio python3-protobuf protobuf-compiler protobuf-compiler-grpc libprotobuf-dev',
  },
  go: {
    start: ['./client'],
    needs: [['protoc'], ['go', 'version'], ['protoc-gen-go'], ['protoc-gen-go-grpc']],
    files: [wellKnown, '/usr/share/gocode/src/google.golang.org/grpc'],
    packages:
      'golang-go golang-google-grpc-dev golang-github-golang-protobuf-1-5-dev protoc-gen-go golang-google-protobuf-dev protoc-gen-go-grpc protobuf-compiler libprotobuf-dev',
  },
  java: {
    start: ['./client.sh'],
    needs: [['protoc'], ['javac', '-version'], ['grpc_java_plugin']],
    files: [wellKnown, '/usr/share/java/grpc-netty.jar', '/usr/share/java/perfmark-api.jar'],
    packages:
      'default-jdk-headless protobuf-compiler protobuf-compiler-grpc-java-plugin libgrpc-java libprotobuf-java libnetty-java libperfmark-java libprotobuf-dev',
  },
  cpp: {
    start: ['./client'],
    needs: [['protoc'], ['grpc_cpp_plugin'], ['pkg-config', '--exists', 'grpc++', 'protobuf']],
    packages: 'g++ pkg-config libgrpc++-dev protobuf-compiler protobuf-compiler-grpc',
  },
};

rmSync(scratch, { recursive: true, force: true });
mkdirSync(clients, { recursive: true });
cpSync(join(root, 'proto'), join(scratch, 'proto'), { recursive: true });
const model = await makeDemoModel();
const expected = await localOutput();
const server = await startServer();
try {
  await runChecks(
    Object.entries(languages).map(([language, parts]) => ({
      name: `the client in ${language} prints and paints what the local model does`,
      run: () => checkClient(language, parts),
    })),
  );
} finally {
  await server.stop();
}

/** What the clients ask for, asked of the model in this process. */
async function localOutput() {
  const { Emu, image } = await import('@emu/sdk');
  const emu = await Emu.fromPretrained(model);
  try {
    const picture = image(readFileSync(photograph));
    const caption = await emu.caption(picture, { numBeams: 1, maxNewTokens: 32, seed: 7 }).text();
    const answer = await emu
      .ask([picture], 'what color is the object?', { numBeams: 1, maxNewTokens: 16, seed: 7 })
      .text();
    const [painted] = await emu.imagine('a red circle.', { steps: 10, seed: 7 }).images();
    return { caption, answer, painted };
  } finally {
    await emu.dispose();
  }
}

async function startServer() {
  const emu = join(root, 'packages', 'cli', 'bin', 'emu.js');
  const args = [emu, 'serve', '--model', model, '--port', '0', '--json', '--log-level', 'warn'];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const exit = new Promise((resolve) => child.once('close', resolve));
  const line = await Promise.race([
    new Promise((resolve) => createInterface(child.stdout).once('line', resolve)),
    exit.then((status) => Promise.reject(new Error(`emu serve ended with ${status}`))),
  ]);
  return {
    address: JSON.parse(line).address,
    async stop() {
      child.kill('SIGTERM');
      const status = await exit;
      if (status !== 0) throw new Error(`emu serve ended with ${status}`);
    },
  };
}

async function checkClient(language, { start, needs, files = [], packages }) {
  const missing = [
    ...needs.filter(isMissing).map(([name]) => name),
    ...files.filter((path) => !isThere(path)),
  ];
  if (missing.length > 0) throw new Skip(`${missing.join(', ')} not found; apt-get install ${packages}`);
  const folder = join(clients, language);
  cpSync(join(root, 'examples', 'clients', language), folder, { recursive: true, filter: isSource });
  await output('./build.sh', [], folder, 600_000);
  const painted = join(folder, 'painted.png');
  const [file, ...args] = start;
  const text = await output(file, [...args, server.address, photograph, painted], folder, 120_000);
  expectText(text, `caption: ${expected.caption}\nanswer: ${expected.answer}\n`);
  if (!/step (\d+) of \1\nwrote /.test(text)) throw new Error(`the last step was expected in\n${text}`);
  await expectPixels(painted);
}

/** Generated code and binaries of an earlier build stay where they are. */
function isSource(path) {
  return !/\/(generated|classes|client|__pycache__)(\/|$)/.test(
    path.slice(join(root, 'examples', 'clients').length),
  );
}

/** A program that is not there, or a module that it cannot load. Without arguments the program only has to exist. */
function isMissing([name, ...args]) {
  if (args.length === 0)
    return spawnSync('sh', ['-c', 'command -v "$0"', name], { stdio: 'ignore' }).status !== 0;
  return spawnSync(name, args, { stdio: 'ignore' }).status !== 0;
}

function isThere(path) {
  return spawnSync('test', ['-e', path]).status === 0;
}

function output(file, args, cwd, timeout) {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { cwd, timeout, stdio: ['ignore', 'pipe', 'pipe'] });
    let [text, log] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (part) => (text += part));
    child.stderr.setEncoding('utf8').on('data', (part) => (log += part));
    child.once('error', reject);
    child.once('close', (status, signal) => {
      if (status === 0) resolve(text);
      else reject(new Error(`${file} ended with ${status ?? signal}\n${text}${log}`));
    });
  });
}

function expectText(text, part) {
  if (!text.includes(part)) throw new Error(`expected\n${part}in\n${text}`);
}

async function expectPixels(path) {
  const { decodeImage } = await import('@emu/sdk');
  const { width, height, data } = await decodeImage(readFileSync(path));
  const { painted } = expected;
  if (width !== painted.width || height !== painted.height) {
    throw new Error(`${path} is ${width} x ${height}, the model paints ${painted.width} x ${painted.height}`);
  }
  const differing = data.findIndex((value, index) => value !== painted.data[index]);
  if (differing >= 0) throw new Error(`${path} differs from the local picture at byte ${differing}`);
}
