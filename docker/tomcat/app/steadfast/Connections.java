package steadfast;

import java.io.BufferedInputStream;
import java.io.Closeable;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.ConcurrentLinkedDeque;
import java.util.concurrent.atomic.AtomicInteger;

/** Idle connections to one store. A call that fails on a kept connection is made once more on a new one. */
final class Connections {
    static final class Connection implements Closeable {
        private final Socket socket = new Socket();
        /** Which address it was made for: another one since means that it is not used again. */
        private int generation;
        final InputStream in;
        final OutputStream out;

        Connection(InetSocketAddress address, int connectMillis) throws IOException {
            try {
                socket.setTcpNoDelay(true);
                socket.setSoTimeout(3000);
                socket.connect(address, connectMillis);
                in = new BufferedInputStream(socket.getInputStream());
                out = socket.getOutputStream();
            } catch (IOException e) {
                socket.close();
                throw e;
            }
        }

        /** One line without its end. */
        String line() throws IOException {
            StringBuilder line = new StringBuilder();
            for (int b = in.read(); b != '\n'; b = in.read()) {
                if (b < 0) {
                    throw new IOException("the store closed the connection");
                }
                if (b != '\r') {
                    line.append((char) b);
                }
            }
            return line.toString();
        }

        /** A value of this size, and the line end that follows it. */
        byte[] value(int size) throws IOException {
            byte[] value = in.readNBytes(size);
            if (value.length < size) {
                throw new IOException("the store closed the connection inside a value");
            }
            line();
            return value;
        }

        @Override
        public void close() throws IOException {
            socket.close();
        }
    }

    interface Call<T> {
        T on(Connection connection) throws IOException;
    }

    /** Asked whenever a connection is made: a store with replicas moves. */
    interface Address {
        InetSocketAddress now() throws IOException;
    }

    private static final int CONNECT_MILLIS = 2000;
    private final Address address;
    private final ConcurrentLinkedDeque<Connection> idle = new ConcurrentLinkedDeque<>();
    private final AtomicInteger generation = new AtomicInteger();

    Connections(Address address) {
        this.address = address;
    }

    /** The calls are gets, sets and deletes of whole values: doing one twice does no harm. */
    <T> T call(Call<T> call) throws IOException {
        Connection kept = idle.pollFirst();
        if (kept != null) {
            try {
                return use(kept, call);
            } catch (IOException stale) {
                closeIdle();
            }
        }
        int current = generation.get();
        Connection made = new Connection(address.now(), CONNECT_MILLIS);
        made.generation = current;
        return use(made, call);
    }

    /** No connection that there is now is used for another call. */
    void forget() {
        generation.incrementAndGet();
        closeIdle();
    }

    private void closeIdle() {
        idle.forEach(Connections::closeQuietly);
        idle.clear();
    }

    private <T> T use(Connection connection, Call<T> call) throws IOException {
        try {
            T result = call.on(connection);
            if (connection.generation == generation.get()) {
                idle.addFirst(connection);
            } else {
                closeQuietly(connection);
            }
            return result;
        } catch (IOException e) {
            closeQuietly(connection);
            throw e;
        }
    }

    private static void closeQuietly(Connection connection) {
        try {
            connection.close();
        } catch (IOException e) {
            // A connection that cannot be closed is gone already.
        }
    }

    static byte[] ascii(String text) {
        return text.getBytes(StandardCharsets.US_ASCII);
    }
}
