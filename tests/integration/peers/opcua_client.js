// npm node-opcua's client reads, browses, watches and writes. Arguments: port, namespace URI, folder, prefix of names.
const {
  OPCUAClient, OPCUACertificateManager, AttributeIds, DataType, MessageSecurityMode, SecurityPolicy, StatusCodes,
  ClientSubscription, ClientMonitoredItem, TimestampsToReturn,
} = require("node-opcua");

const plain = (value) => value instanceof Date ? value.toISOString() : ArrayBuffer.isView(value) ? [...value] : value;

(async () => {
  const [port, uri, folder, prefix] = process.argv.slice(2);
  const manager = new OPCUACertificateManager({ rootFolder: folder, automaticallyAcceptUnknownCertificate: true });
  await manager.initialize();
  const client = OPCUAClient.create({
    clientCertificateManager: manager, endpointMustExist: false, securityMode: MessageSecurityMode.None,
    securityPolicy: SecurityPolicy.None, connectionStrategy: { maxRetry: 0 },
  });
  await client.connect(`opc.tcp://127.0.0.1:${port}`);
  const session = await client.createSession();
  const space = (await session.readNamespaceArray()).indexOf(uri);
  const node = (name) => `ns=${space};s=${prefix}${name}`;
  const names = ["bool", "i8", "Boiler #1 level", "i32", "u32", "f32", "f64", "text", "time", "array"];
  const out = { read: {} };
  const values = await session.read(names.map((name) => ({ nodeId: node(name), attributeId: AttributeIds.Value })));
  names.forEach((name, at) => { out.read[name] = plain(values[at].value.value); });
  out.ghost = (await session.read({ nodeId: node("Ghost"), attributeId: AttributeIds.Value })).statusCode.name;
  out.written = (await session.write({
    nodeId: node("i32"), attributeId: AttributeIds.Value, value: { value: { dataType: DataType.Int32, value: 42 } },
  })).name;
  out.refused = (await session.write({
    nodeId: node("u8"), attributeId: AttributeIds.Value, value: { value: { dataType: DataType.Byte, value: 1 } },
  })) !== StatusCodes.Good;
  const watch = ClientSubscription.create(session, {
    requestedPublishingInterval: 50, requestedLifetimeCount: 100, requestedMaxKeepAliveCount: 10,
    publishingEnabled: true, maxNotificationsPerPublish: 100,
  });
  const item = ClientMonitoredItem.create(
    watch, { nodeId: node("i32"), attributeId: AttributeIds.Value },
    { samplingInterval: 50, queueSize: 10, discardOldest: true }, TimestampsToReturn.Both);
  out.heard = [];
  await new Promise((done) => {
    item.on("changed", (found) => {
      out.heard.push(found.value.value);
      if (out.heard.length === 1) console.log("@ watching");
      if (out.heard.length === 2) done();
    });
  });
  await watch.terminate();
  await session.close();
  await client.disconnect();
  console.log("@ " + JSON.stringify(out));
  process.exit(0);
})().catch((error) => { console.error(error); process.exit(1); });
