package steadfast;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import jakarta.servlet.http.HttpSession;
import java.io.IOException;
import java.util.concurrent.ThreadLocalRandom;

/**
 * The four calls of the session contract over whatever session manager Tomcat was configured with.
 * It uses the servlet API alone and does not know which strategy it runs under.
 */
public final class SessionServlet extends HttpServlet {
    private static final long serialVersionUID = 1L;
    private static final String STATE = "state";
    private static final String PAYLOAD = "payload";
    private static final String CHANGING = "changing";
    private static final int MOST_PAYLOAD_BYTES = 4 * 1024 * 1024;

    /**
     * Requests of one session are serialised inside a node, as a careful application does it, so that
     * lost updates are the strategy's and not the servlet's. Striped: no table of locks to clean.
     */
    private static final Object[] LOCKS = new Object[1024];

    static {
        for (int i = 0; i < LOCKS.length; i++) {
            LOCKS[i] = new Object();
        }
    }

    private static Object lockOf(String sessionId) {
        return LOCKS[Math.floorMod(sessionId == null ? 0 : sessionId.hashCode(), LOCKS.length)];
    }

    @Override
    protected void doPost(HttpServletRequest request, HttpServletResponse response) throws IOException {
        JsonObject body = Reply.read(request);
        if (request.getServletPath().equals("/session")) {
            create(request, response, body);
        } else {
            append(request, response, body);
        }
    }

    private static void create(HttpServletRequest request, HttpServletResponse response, JsonObject body)
            throws IOException {
        String owner = Reply.text(body, "owner");
        String bytes = Reply.text(body, "bytes");
        if (owner == null || !isSize(bytes)) {
            Reply.error(response, 400, "POST /session takes {\"owner\": text, \"bytes\": 0 to 4194304}");
            return;
        }
        HttpSession old = request.getSession(false);
        if (old != null) {
            old.invalidate();
        }
        HttpSession session = request.getSession(true);
        session.setAttribute(PAYLOAD, randomBytes(bytes));
        State state = State.create(owner);
        session.setAttribute(STATE, state);
        reply(response, state);
    }

    private static boolean isSize(String bytes) {
        return bytes != null && bytes.matches("[0-9]{1,7}") && Integer.parseInt(bytes) <= MOST_PAYLOAD_BYTES;
    }

    private static byte[] randomBytes(String count) {
        byte[] bytes = new byte[Integer.parseInt(count)];
        ThreadLocalRandom.current().nextBytes(bytes);
        return bytes;
    }

    private static void append(HttpServletRequest request, HttpServletResponse response, JsonObject body)
            throws IOException {
        String op = Reply.text(body, "op");
        String bytes = Reply.text(body, "bytes");
        if (op == null || op.isEmpty() || op.length() > 64 || (bytes != null && !isSize(bytes))) {
            Reply.error(response, 400,
                    "POST /session/ops takes {\"op\": 1 to 64 characters, \"bytes\": 0 to 4194304, or none}");
            return;
        }
        synchronized (lockOf(request.getRequestedSessionId())) {
            HttpSession session = request.getSession(false);
            State state = session == null ? null : (State) session.getAttribute(STATE);
            if (state == null) {
                Reply.error(response, 404, "unknown-session");
                return;
            }
            State next = state.append(op);
            session.setAttribute(STATE, next);
            if (bytes != null) {
                session.setAttribute(CHANGING, randomBytes(bytes));
            }
            reply(response, next);
        }
    }

    @Override
    protected void doGet(HttpServletRequest request, HttpServletResponse response) throws IOException {
        HttpSession session = request.getSession(false);
        State state = session == null ? null : (State) session.getAttribute(STATE);
        if (state == null) {
            Reply.error(response, 404, "unknown-session");
            return;
        }
        reply(response, state);
    }

    @Override
    protected void doDelete(HttpServletRequest request, HttpServletResponse response) throws IOException {
        synchronized (lockOf(request.getRequestedSessionId())) {
            HttpSession session = request.getSession(false);
            if (session == null) {
                Reply.error(response, 404, "unknown-session");
                return;
            }
            session.invalidate();
            response.setStatus(204);
        }
    }

    private static void reply(HttpServletResponse response, State state) throws IOException {
        JsonObject body = Reply.fromThisNode();
        body.addProperty("owner", state.owner);
        body.addProperty("epoch", state.epoch);
        body.addProperty("version", state.version);
        body.addProperty("digest", String.format("%016x", state.digest));
        JsonArray tail = new JsonArray();
        state.tail.forEach(tail::add);
        body.add("tail", tail);
        Reply.send(response, 200, body);
    }
}
