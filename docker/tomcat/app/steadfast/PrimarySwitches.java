package steadfast;

import java.io.Closeable;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.SocketTimeoutException;

/**
 * Listens to sentinels for another primary, and says when there is one. If the sentinel that it listens to is gone, it goes
 * on with the next one, and takes it that a switch was missed.
 */
final class PrimarySwitches implements Runnable, Closeable {
    private static final int CONNECT_MILLIS = 300;
    /** Until the next sentinel is tried. */
    private static final long PAUSE_MILLIS = 200;
    private final InetSocketAddress[] sentinels;
    private final Runnable onSwitch;
    private volatile boolean isClosed;
    private volatile Connections.Connection connection;

    PrimarySwitches(InetSocketAddress[] sentinels, Runnable onSwitch) {
        this.sentinels = sentinels;
        this.onSwitch = onSwitch;
    }

    @Override
    public void run() {
        for (int asked = 0; !isClosed; asked = (asked + 1) % sentinels.length) {
            try (Connections.Connection listening = new Connections.Connection(sentinels[asked], CONNECT_MILLIS)) {
                connection = listening;
                listening.out.write(Connections.ascii("SUBSCRIBE +switch-master\r\n"));
                onSwitch.run();
                listen(listening);
            } catch (IOException gone) {
                // The next one is asked.
            }
            try {
                Thread.sleep(PAUSE_MILLIS);
            } catch (InterruptedException stopping) {
                return;
            }
        }
    }

    private void listen(Connections.Connection listening) throws IOException {
        boolean isSilent = false;
        while (!isClosed) {
            try {
                // A message is an array of its kind, its channel and its text.
                if (listening.line().equals("message")) {
                    onSwitch.run();
                }
                isSilent = false;
            } catch (SocketTimeoutException silent) {
                if (isSilent) {
                    throw silent;
                }
                isSilent = true;
                listening.out.write(Connections.ascii("PING\r\n"));
            }
        }
    }

    @Override
    public void close() throws IOException {
        isClosed = true;
        Connections.Connection listening = connection;
        if (listening != null) {
            listening.close();
        }
    }
}
