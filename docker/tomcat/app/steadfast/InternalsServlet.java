package steadfast;

import com.google.gson.JsonObject;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.lang.management.ManagementFactory;

/** GET /internals: the live heap after a collection, and how many sessions this node holds in which role. */
public final class InternalsServlet extends CatalinaServlet {
    private static final long serialVersionUID = 1L;

    @Override
    protected void doGet(HttpServletRequest request, HttpServletResponse response) throws IOException {
        Internals.Roles roles;
        try {
            roles = Internals.roles(context());
        } catch (ReflectiveOperationException e) {
            Reply.error(response, 500, "sessions of this manager cannot be counted: " + e);
            return;
        }
        System.gc();
        JsonObject sessions = new JsonObject();
        sessions.addProperty("primary", roles.primary);
        sessions.addProperty("backup", roles.backup);
        sessions.addProperty("proxy", roles.proxy);
        JsonObject body = Reply.fromThisNode();
        body.addProperty("heap_bytes", ManagementFactory.getMemoryMXBean().getHeapMemoryUsage().getUsed());
        body.add("sessions", sessions);
        Reply.send(response, 200, body);
    }
}
