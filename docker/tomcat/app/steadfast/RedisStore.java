package steadfast;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;

/**
 * Sessions in Redis: GET, SET with EX, DEL over RESP2. Where sentinels watch over it, each new connection goes to whom
 * they call the primary.
 */
public final class RedisStore extends KeyValueStore {
    private static final int SENTINEL_PORT = 26379;
    /** One that is gone must not hold up the question to the next. */
    private static final int SENTINEL_CONNECT_MILLIS = 300;
    private String[] sentinels = {};
    private volatile int preferred;

    public RedisStore() {
        super(6379);
    }

    /** Their hosts, with commas between them. */
    public void setSentinels(String hosts) {
        sentinels = hosts.split(",");
    }

    @Override
    InetSocketAddress address() throws IOException {
        if (sentinels.length == 0) {
            return super.address();
        }
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
