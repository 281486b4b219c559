package steadfast;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.net.InetSocketAddress;
import org.apache.catalina.LifecycleException;
import org.apache.catalina.Session;
import org.apache.catalina.session.StandardSession;
import org.apache.catalina.session.StoreBase;

/**
 * A Tomcat session store over a server that keeps values by key and expires them by itself. Tomcat's
 * PersistentManager and PersistentValve do the rest: load before the request, save after it.
 */
public abstract class KeyValueStore extends StoreBase {
    String host = "127.0.0.1";
    int port;
    private Connections connections;

    protected KeyValueStore(int port) {
        this.port = port;
    }

    abstract byte[] get(Connections.Connection connection, String key) throws IOException;

    abstract void set(Connections.Connection connection, String key, byte[] value, int seconds) throws IOException;

    abstract void delete(Connections.Connection connection, String key) throws IOException;

    /** Where the store takes reads and writes at present. */
    InetSocketAddress address() throws IOException {
        return new InetSocketAddress(host, port);
    }

    /** For a store that has moved. */
    void dropConnections() {
        connections.forget();
    }

    public void setHost(String host) {
        this.host = host;
    }

    public void setPort(int port) {
        this.port = port;
    }

    @Override
    protected void startInternal() throws LifecycleException {
        connections = new Connections(this::address);
        super.startInternal();
    }

    private static String key(String id) {
        return "session:" + id;
    }

    @Override
    public Session load(String id) throws ClassNotFoundException, IOException {
        byte[] value = connections.call(connection -> get(connection, key(id)));
        if (value == null) {
            return null;
        }
        try (ObjectInputStream in = getObjectInputStream(new ByteArrayInputStream(value))) {
            StandardSession session = (StandardSession) manager.createEmptySession();
            session.readObjectData(in);
            session.setManager(manager);
            return session;
        }
    }

    @Override
    public void save(Session session) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (ObjectOutputStream out = new ObjectOutputStream(bytes)) {
            ((StandardSession) session).writeObjectData(out);
        }
        connections.call(connection -> {
            set(connection, key(session.getIdInternal()), bytes.toByteArray(), session.getMaxInactiveInterval());
            return null;
        });
    }

    @Override
    public void remove(String id) throws IOException {
        connections.call(connection -> {
            delete(connection, key(id));
            return null;
        });
    }

    /** The server expires sessions by itself: with every node scanning it would be asked N times over. */
    @Override
    public String[] expiredKeys() {
        return new String[0];
    }

    /** Tomcat asks for all keys only when it expires or unloads all sessions, which this store never needs. */
    @Override
    public String[] keys() {
        return new String[0];
    }

    @Override
    public int getSize() {
        return 0;
    }

    @Override
    public void clear() {
        // Not this node's to clear: other nodes use the same sessions.
    }
}
