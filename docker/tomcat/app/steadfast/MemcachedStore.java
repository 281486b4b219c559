package steadfast;

import java.io.ByteArrayOutputStream;
import java.io.IOException;

/** Sessions in memcached: get, set and delete of its text protocol. */
public final class MemcachedStore extends KeyValueStore {
    public MemcachedStore() {
        super(11211);
    }

    @Override
    byte[] get(Connections.Connection connection, String key) throws IOException {
        connection.out.write(Connections.ascii("get " + key + "\r\n"));
        String head = connection.line();
        if (head.equals("END")) {
            return null;
        }
        if (!head.startsWith("VALUE ")) {
            throw new IOException("memcached: " + head);
        }
        byte[] value = connection.value(Integer.parseInt(head.substring(head.lastIndexOf(' ') + 1)));
        connection.line();
        return value;
    }

    @Override
    void set(Connections.Connection connection, String key, byte[] value, int seconds) throws IOException {
        ByteArrayOutputStream request = new ByteArrayOutputStream();
        request.writeBytes(Connections.ascii("set " + key + " 0 " + seconds + " " + value.length + "\r\n"));
        request.writeBytes(value);
        request.writeBytes(Connections.ascii("\r\n"));
        request.writeTo(connection.out);
        expect(connection, "STORED");
    }

    @Override
    void delete(Connections.Connection connection, String key) throws IOException {
        connection.out.write(Connections.ascii("delete " + key + "\r\n"));
        String reply = connection.line();
        if (!reply.equals("DELETED") && !reply.equals("NOT_FOUND")) {
            throw new IOException("memcached: " + reply);
        }
    }

    private static void expect(Connections.Connection connection, String expected) throws IOException {
        String reply = connection.line();
        if (!reply.equals(expected)) {
            throw new IOException("memcached: " + reply);
        }
    }
}
