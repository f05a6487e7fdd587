import com.hivemq.embedded.EmbeddedExtension;
import com.hivemq.embedded.EmbeddedHiveMQ;
import com.hivemq.extension.sdk.api.ExtensionMain;
import com.hivemq.extension.sdk.api.auth.SimpleAuthenticator;
import com.hivemq.extension.sdk.api.auth.parameter.SimpleAuthInput;
import com.hivemq.extension.sdk.api.auth.parameter.SimpleAuthOutput;
import com.hivemq.extension.sdk.api.auth.parameter.TopicPermission;
import com.hivemq.extension.sdk.api.packets.auth.DefaultAuthorizationBehaviour;
import com.hivemq.extension.sdk.api.packets.connect.ConnackReasonCode;
import com.hivemq.extension.sdk.api.parameter.ExtensionStartInput;
import com.hivemq.extension.sdk.api.parameter.ExtensionStartOutput;
import com.hivemq.extension.sdk.api.parameter.ExtensionStopInput;
import com.hivemq.extension.sdk.api.parameter.ExtensionStopOutput;
import com.hivemq.extension.sdk.api.services.Services;
import com.hivemq.extension.sdk.api.services.builder.Builders;
import com.hivemq.extension.sdk.api.services.builder.TopicPermissionBuilder;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import javax.crypto.SecretKeyFactory;
import javax.crypto.spec.PBEKeySpec;
import javax.xml.parsers.DocumentBuilderFactory;
import org.w3c.dom.Element;
import org.w3c.dom.Node;

/**
 * HiveMQ CE with a credentials.xml: its users log in, and its permissions become HiveMQ's own default permissions, which
 * HiveMQ then decides by. The file is read by code of its own, so that it is not NEXUS that reads what NEXUS wrote.
 *
 * Arguments: folder (configuration, data), credentials.xml. Prints "ready" once it listens; ends with its standard input.
 */
public final class Broker {

    private static final Map<String, String> PASSWORDS = new HashMap<>();
    private static final Map<String, List<Element>> PERMISSIONS = new HashMap<>();

    public static void main(final String[] arguments) throws Exception {
        final Path folder = Path.of(arguments[0]);
        read(Path.of(arguments[1]));
        final EmbeddedExtension extension = EmbeddedExtension.builder()
                .withId("nexus-test").withName("NEXUS test").withVersion("1").withPriority(0).withStartPriority(0)
                .withExtensionMain(new Main()).build();
        final EmbeddedHiveMQ broker = EmbeddedHiveMQ.builder()
                .withConfigurationFolder(folder.resolve("conf")).withDataFolder(folder.resolve("data"))
                .withExtensionsFolder(folder.resolve("extensions")).withEmbeddedExtension(extension).build();
        broker.start().join();
        System.out.println("ready");
        System.out.flush();
        while (System.in.read() >= 0) {
            // Until the parent closes it, or is gone.
        }
        Runtime.getRuntime().halt(0);
    }

    private static void read(final Path file) throws Exception {
        final Element root =
                DocumentBuilderFactory.newInstance().newDocumentBuilder().parse(file.toFile()).getDocumentElement();
        final Map<String, List<Element>> roles = new HashMap<>();
        for (final Element role : children(child(root, "roles"), "role")) {
            roles.put(text(role, "id", ""), children(child(role, "permissions"), "permission"));
        }
        for (final Element user : children(child(root, "users"), "user")) {
            final List<Element> permissions = new ArrayList<>();
            for (final Element id : children(child(user, "roles"), "id")) {
                permissions.addAll(roles.get(id.getTextContent()));
            }
            PASSWORDS.put(text(user, "name", ""), text(user, "password", ""));
            PERMISSIONS.put(text(user, "name", ""), permissions);
        }
    }

    private static Element child(final Element parent, final String name) {
        return children(parent, name).get(0);
    }

    private static List<Element> children(final Element parent, final String name) {
        final List<Element> found = new ArrayList<>();
        for (Node node = parent.getFirstChild(); node != null; node = node.getNextSibling()) {
            if (node instanceof Element && node.getNodeName().equals(name)) {
                found.add((Element) node);
            }
        }
        return found;
    }

    private static String text(final Element parent, final String name, final String otherwise) {
        final List<Element> found = children(parent, name);
        return found.isEmpty() ? otherwise : found.get(0).getTextContent();
    }

    private static final class Main implements ExtensionMain {

        @Override
        public void extensionStart(final ExtensionStartInput input, final ExtensionStartOutput output) {
            final SimpleAuthenticator authenticator = new ByFile();
            Services.securityRegistry().setAuthenticatorProvider(ignored -> authenticator);
        }

        @Override
        public void extensionStop(final ExtensionStopInput input, final ExtensionStopOutput output) {
        }
    }

    private static final class ByFile implements SimpleAuthenticator {

        @Override
        public void onConnect(final SimpleAuthInput input, final SimpleAuthOutput output) {
            final String user = input.getConnectPacket().getUserName().orElse("");
            final String id = input.getClientInformation().getClientId();
            if (!knows(user, input.getConnectPacket().getPassword().orElse(ByteBuffer.allocate(0)))) {
                output.failAuthentication(ConnackReasonCode.NOT_AUTHORIZED, "unknown");
                return;
            }
            for (final Element permission : PERMISSIONS.get(user)) {
                output.getDefaultPermissions().add(permission(permission, user, id));
            }
            output.getDefaultPermissions().setDefaultBehaviour(DefaultAuthorizationBehaviour.DENY);
            output.authenticateSuccessfully();
        }

        private static boolean knows(final String user, final ByteBuffer given) {
            final String[] parts = PASSWORDS.getOrDefault(user, "").split(":");
            if (parts.length != 3) {
                return false;
            }
            final byte[] bytes = new byte[given.remaining()];
            given.get(bytes);
            try {
                final PBEKeySpec spec = new PBEKeySpec(new String(bytes, "UTF-8").toCharArray(),
                        Base64.getDecoder().decode(parts[0]), Integer.parseInt(parts[1]), 512);
                final byte[] key = SecretKeyFactory.getInstance("PBKDF2WithHmacSHA512").generateSecret(spec).getEncoded();
                return MessageDigest.isEqual(key, Base64.getDecoder().decode(parts[2]));
            } catch (final Exception exception) {
                return false;
            }
        }

        private static TopicPermission permission(final Element element, final String user, final String id) {
            final TopicPermissionBuilder builder = Builders.topicPermission();
            final String topic = text(element, "topic", "").replace("${{username}}", user).replace("${{clientid}}", id);
            return builder.topicFilter(topic)
                    .type(TopicPermission.PermissionType.ALLOW)
                    .activity(TopicPermission.MqttActivity.valueOf(text(element, "activity", "ALL")))
                    .qos(TopicPermission.Qos.valueOf(text(element, "qos", "ALL")))
                    .retain(TopicPermission.Retain.valueOf(text(element, "retain", "ALL")))
                    .sharedSubscription(
                            TopicPermission.SharedSubscription.valueOf(text(element, "shared-subscription", "ALL")))
                    .sharedGroup(text(element, "shared-group", "#"))
                    .build();
        }
    }
}
