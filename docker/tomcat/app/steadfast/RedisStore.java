package steadfast;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.apache.catalina.LifecycleException;

/**
 * Sessions in Redis: GET, SET with EX, DEL over RESP2. Where sentinels watch over it, each new connection goes to whom
 * they call the primary. If it follows switches, it also asks that server for its role, and drops its connections when the
 * sentinels announce another primary, as their documentation asks of clients.
 */
public final class RedisStore extends KeyValueStore {
    private static final int SENTINEL_PORT = 26379;
    /** One that is gone must not hold up the question to the next. */
    private static final int SENTINEL_CONNECT_MILLIS = 300;
    private String[] sentinels = {};
    private volatile int preferred;
    private boolean follows;
    private PrimarySwitches switches;

    public RedisStore() {
        super(6379);
    }

    /** Their hosts, with commas between them. */
    public void setSentinels(String hosts) {
        sentinels = hosts.split(",");
    }

    /** Whether it follows switches. */
    public void setFollows(boolean follows) {
        this.follows = follows;
    }

    @Override
    protected void startInternal() throws LifecycleException {
        super.startInternal();
        if (follows) {
            InetSocketAddress[] addresses = new InetSocketAddress[sentinels.length];
            Arrays.setAll(addresses, place -> new InetSocketAddress(sentinels[place], SENTINEL_PORT));
            switches = new PrimarySwitches(addresses, this::dropConnections);
            Thread listener = new Thread(switches, "primary-switches");
            listener.setDaemon(true);
            listener.start();
        }
    }

    @Override
    protected void stopInternal() throws LifecycleException {
        try {
            if (switches != null) {
                switches.close();
            }
        } catch (IOException e) {
            // It is gone already.
        }
        super.stopInternal();
    }

    @Override
    InetSocketAddress address() throws IOException {
        if (sentinels.length == 0) {
            return super.address();
        }
        InetSocketAddress primary = primary();
        if (follows) {
            try (Connections.Connection connection = new Connections.Connection(primary, SENTINEL_CONNECT_MILLIS)) {
                connection.out.write(Connections.ascii("ROLE\r\n"));
                connection.line();
                String role = text(connection);
                if (!role.equals("master")) {
                    throw new IOException("the sentinels name a primary that is a " + role);
                }
            }
        }
        return primary;
    }

    /** Whom the sentinels call the primary. */
    private InetSocketAddress primary() throws IOException {
        IOException last = null;
        for (int i = 0; i < sentinels.length; i++) {
            int asked = (preferred + i) % sentinels.length;
            InetSocketAddress sentinel = new InetSocketAddress(sentinels[asked], SENTINEL_PORT);
            try (Connections.Connection connection = new Connections.Connection(sentinel, SENTINEL_CONNECT_MILLIS)) {
                InetSocketAddress primary = primary(connection);
                preferred = asked;
                return primary;
            } catch (IOException e) {
                last = e;
            }
        }
        throw new IOException("no sentinel names the primary", last);
    }

    private static InetSocketAddress primary(Connections.Connection sentinel) throws IOException {
        sentinel.out.write(Connections.ascii("SENTINEL get-master-addr-by-name sessions\r\n"));
        String head = sentinel.line();
        if (!head.equals("*2")) {
            throw new IOException("the sentinel knows no primary: " + head);
        }
        String host = text(sentinel);
        return new InetSocketAddress(host, Integer.parseInt(text(sentinel)));
    }

    private static String text(Connections.Connection connection) throws IOException {
        int size = Integer.parseInt(connection.line().substring(1));
        return new String(connection.value(size), StandardCharsets.US_ASCII);
    }

    @Override
    byte[] get(Connections.Connection connection, String key) throws IOException {
        return command(connection, Connections.ascii("GET"), Connections.ascii(key));
    }

    @Override
    void set(Connections.Connection connection, String key, byte[] value, int seconds) throws IOException {
        command(connection, Connections.ascii("SET"), Connections.ascii(key), value, Connections.ascii("EX"),
                Connections.ascii(Integer.toString(seconds)));
    }

    @Override
    void delete(Connections.Connection connection, String key) throws IOException {
        command(connection, Connections.ascii("DEL"), Connections.ascii(key));
    }

    /** Sends one command, reads one reply: the bytes of a bulk string, or null for every other reply. */
    private static byte[] command(Connections.Connection connection, byte[]... words) throws IOException {
        ByteArrayOutputStream request = new ByteArrayOutputStream();
        request.writeBytes(Connections.ascii("*" + words.length + "\r\n"));
        for (byte[] word : words) {
            request.writeBytes(Connections.ascii("$" + word.length + "\r\n"));
            request.writeBytes(word);
            request.writeBytes(Connections.ascii("\r\n"));
        }
        request.writeTo(connection.out);
        String head = connection.line();
        if (head.startsWith("$")) {
            int size = Integer.parseInt(head.substring(1));
            return size < 0 ? null : connection.value(size);
        }
        if (head.startsWith("-")) {
            throw new IOException("Redis: " + head.substring(1));
        }
        return null;
    }
}
