import com.google.gson.Gson;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import org.eclipse.jetty.server.session.AbstractSessionCache;
import org.eclipse.jetty.server.session.DatabaseAdaptor;
import org.eclipse.jetty.server.session.DefaultSessionCache;
import org.eclipse.jetty.server.session.DefaultSessionIdManager;
import org.eclipse.jetty.server.session.JDBCSessionDataStore;
import org.eclipse.jetty.server.session.NullSessionCache;
import org.eclipse.jetty.server.session.SessionHandler;
import org.eclipse.jetty.servlet.ServletContextHandler;
import org.eclipse.jetty.servlet.ServletHolder;
import org.eclipse.jetty.util.thread.QueuedThreadPool;
import org.postgresql.ds.PGPoolingDataSource;

/** Starts Jetty with the sessions that the target has chosen. Everything that differs between targets is here. */
@SuppressWarnings("deprecation")
final class Main {
    private record Chosen(String address, String cache, boolean flushOnCommit, int maxInactiveSeconds) {}

    public static void main(String[] arguments) throws Exception {
        Chosen chosen = new Gson().fromJson(Files.readString(Path.of("/srv/sessions.json")), Chosen.class);
        PGPoolingDataSource connections = connections(chosen.address);
        Server server = new Server(new QueuedThreadPool(100));
        ServerConnector connector = new ServerConnector(server);
        connector.setPort(8080);
        connector.setIdleTimeout(120_000);
        server.addConnector(connector);

        DefaultSessionIdManager ids = new DefaultSessionIdManager(server);
        ids.setWorkerName(System.getenv("NODE"));
        server.setSessionIdManager(ids);

        DatabaseAdaptor database = new DatabaseAdaptor();
        database.setDatasource(connections);
        JDBCSessionDataStore store = new JDBCSessionDataStore();
        store.setDatabaseAdaptor(database);
        SessionHandler sessions = new SessionHandler();
        AbstractSessionCache cache =
            chosen.cache.equals("null") ? new NullSessionCache(sessions) : new DefaultSessionCache(sessions);
        cache.setFlushOnResponseCommit(chosen.flushOnCommit);
        cache.setSessionDataStore(store);
        sessions.setSessionCache(cache);
        sessions.setHttpOnly(true);
        sessions.setMaxInactiveInterval(chosen.maxInactiveSeconds);

        ServletContextHandler context = new ServletContextHandler(server, "/");
        context.setSessionHandler(sessions);
        context.addServlet(new ServletHolder(new Contract(sessions)), "/*");
        // Nodes that make the table at the same time fail: one after the other.
        try (Connection connection = connections.getConnection()) {
            connection.createStatement().execute("SELECT pg_advisory_lock(1)");
            server.start();
            connection.createStatement().execute("SELECT pg_advisory_unlock(1)");
        }
        server.join();
    }

    /** Connections that are kept: without them each load and each save of a session would make one. */
    private static PGPoolingDataSource connections(String address) {
        PGPoolingDataSource connections = new PGPoolingDataSource();
        connections.setServerNames(new String[] {address});
        connections.setDatabaseName("sessions");
        connections.setUser("sessions");
        connections.setConnectTimeout(2);
        connections.setSocketTimeout(10);
        connections.setMaxConnections(32);
        return connections;
    }
}
