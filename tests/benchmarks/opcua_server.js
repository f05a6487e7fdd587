// An OPC UA server of npm node-opcua whose doubles all change once a second, between "move" and "rest".
// Arguments: number of variables, namespace. It prints its port; each "move", "rest" and "facts" on standard input is
// answered by JSON: changes so far, CPU seconds. Its lines begin with "@ " (the library prints others). It ends with
// its standard input.
const os = require("os");
const path = require("path");
const fs = require("fs");
const { OPCUAServer, OPCUACertificateManager, DataType, StatusCodes } = require("node-opcua");

(async () => {
  const [count, namespace] = [+process.argv[2], process.argv[3]];
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "nexus-bench-opcua-"));
  const manager = new OPCUACertificateManager({ rootFolder: folder, automaticallyAcceptUnknownCertificate: true });
  await manager.initialize();
  const server = new OPCUAServer({
    port: 0, host: "127.0.0.1", hostname: "127.0.0.1", serverCertificateManager: manager,
    serverCapabilities: { maxMonitoredItemsPerSubscription: 100000, maxMonitoredItems: 100000 },
  });
  await server.initialize();
  const space = server.engine.addressSpace;
  const own = space.registerNamespace(namespace);
  const plant = own.addFolder(space.rootFolder.objects, { browseName: "Plant" });
  const value = (at, turn) => ({ dataType: DataType.Double, value: Math.round(2000 + at + turn * 37) / 100 });
  const variables = [];
  for (let at = 0; at < count; at++) {
    const name = "v" + String(at).padStart(4, "0");
    variables.push(own.addVariable({
      organizedBy: plant, browseName: name, nodeId: "s=" + name, dataType: "Double", minimumSamplingInterval: 50,
      value: value(at, 0),
    }));
  }
  await server.start();
  let [turn, moving] = [0, false];
  setInterval(() => {
    if (!moving) return;
    turn++;
    const now = new Date();
    variables.forEach((one, at) => one.setValueFromSource(value(at, turn % 61), StatusCodes.Good, now));
  }, 1000);
  console.log("@ " + server.endpoints[0].port);
  require("readline").createInterface({ input: process.stdin }).on("line", (line) => {
    if (line === "move") moving = true;
    if (line === "rest") moving = false;
    const used = process.cpuUsage();
    console.log("@ " + JSON.stringify({ changes: turn * count, cpu_s: (used.user + used.system) / 1e6 }));
  }).on("close", async () => {
    await server.shutdown(0);
    fs.rmSync(folder, { recursive: true, force: true });
    process.exit(0);
  });
})().catch((error) => { console.error(error); process.exit(1); });
