// An OPC UA server of npm node-opcua: every kind of value, few nodes per read and no more, one node that is bad.
// Arguments: port (0: any), folder for its certificates, nodes per read. It prints its port, and ends with its standard input.
const {
  OPCUAServer, OPCUACertificateManager, DataType, VariantArrayType, StatusCodes, standardUnits,
} = require("node-opcua");

const URI = "http://acme.example/peer";
const MOMENT = new Date("2024-03-04T05:06:07.250Z");

function populate(server) {
  const space = server.engine.addressSpace;
  const own = space.registerNamespace(URI);
  const plant = own.addFolder(space.rootFolder.objects, { browseName: "Plant" });
  const add = (name, dataType, value, more = {}) =>
    own.addVariable({
      organizedBy: plant, browseName: name, nodeId: `s=${name}`, dataType,
      value: { dataType: DataType[dataType], arrayType: VariantArrayType.Scalar, value, ...(more.variant ?? {}) }, ...(more.node ?? {}),
    });
  add("bool", "Boolean", true);
  add("i8", "SByte", -5);
  add("u8", "Byte", 200);
  add("i16", "Int16", -12345);
  add("u16", "UInt16", 54321);
  add("i32", "Int32", -123456789);
  add("u32", "UInt32", 3000000000);
  add("i64", "Int64", [0xefffffff, 0xffffffff]); // -(2**60) - 1, as two halves
  add("u64", "UInt64", [0x80000000, 5]); // 2**63 + 5
  add("f32", "Float", 230.5);
  add("f64", "Double", 3.141592653589793);
  add("text", "String", "größer");
  add("time", "DateTime", MOMENT);
  add("locked", "Int32", 7, { node: { accessLevel: "CurrentRead", userAccessLevel: "CurrentRead" } });
  add("array", "Float", new Float32Array([1, 2.5, -3]), {
    variant: { arrayType: VariantArrayType.Array }, node: { valueRank: 1, arrayDimensions: [3] },
  });
  const bad = add("bad", "Int32", 1);
  bad.setValueFromSource({ dataType: DataType.Int32, value: 1 }, StatusCodes.BadSensorFailure, MOMENT);
  const doubtful = add("doubtful", "Int32", 1);
  doubtful.setValueFromSource({ dataType: DataType.Int32, value: 41 }, StatusCodes.UncertainSubNormal, MOMENT);
  own.addAnalogDataItem({
    organizedBy: plant, browseName: "level", nodeId: "s=level", dataType: "Double",
    engineeringUnitsRange: { low: 0, high: 250 }, engineeringUnits: standardUnits.degree_celsius,
    value: { dataType: DataType.Double, value: 20.5 },
  });
  let ticks = 0;
  const counter = add("counter", "UInt32", 0);
  const timer = setInterval(
    () => counter.setValueFromSource({ dataType: DataType.UInt32, value: ++ticks }, StatusCodes.Good, new Date()), 50);
  space.registerShutdownTask(() => clearInterval(timer));
  const range = space.findDataType("Range");
  const made = space.constructExtensionObject(range, { low: -1.5, high: 8 });
  own.addVariable({
    organizedBy: plant, browseName: "span", nodeId: "s=span", dataType: range.nodeId,
    value: { dataType: DataType.ExtensionObject, value: made },
  });
}

(async () => {
  const [port, folder, most, strangers] = process.argv.slice(2);
  const manager = new OPCUACertificateManager({
    rootFolder: folder, automaticallyAcceptUnknownCertificate: strangers !== "refused",
  });
  await manager.initialize();
  const server = new OPCUAServer({
    port: +port, host: "127.0.0.1", hostname: "127.0.0.1", serverCertificateManager: manager,
    userManager: { isValidUser: (user, password) => user === "operator" && password === "right" },
    serverCapabilities: {
      operationLimits: {
        maxNodesPerRead: +most, maxNodesPerWrite: 3, maxNodesPerBrowse: 3, maxMonitoredItemsPerCall: 5,
      },
    },
  });
  await server.initialize();
  populate(server);
  await server.start();
  console.log("@ " + server.endpoints[0].port);
  process.stdin.on("end", async () => { await server.shutdown(0); process.exit(0); });
  process.stdin.resume();
})().catch((error) => { console.error(error); process.exit(1); });
