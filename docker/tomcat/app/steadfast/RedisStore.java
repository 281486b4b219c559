package steadfast;

import java.io.ByteArrayOutputStream;
import java.io.IOException;

/** Sessions in Redis: GET, SET with EX, DEL over RESP2. */
public final class RedisStore extends KeyValueStore {
    public RedisStore() {
        super(6379);
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
