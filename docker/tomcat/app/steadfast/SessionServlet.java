package steadfast;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;

/**
 * The four calls of the session contract, wherever sessions live: with whatever session manager Tomcat was
 * configured with, or with the client. It uses the servlet API alone and does not know which strategy it runs under.
 */
public final class SessionServlet extends HttpServlet {
    private static final long serialVersionUID = 1L;
    private static final int MOST_PAYLOAD_BYTES = 4 * 1024 * 1024;
    private static final int MOST_HOLD_MS = 60_000;

    private transient Sessions sessions;

    @Override
    public void init() {
        boolean isClientSide = "client-side".equals(getServletContext().getInitParameter("sessions"));
        String after = getServletContext().getInitParameter("expires_after_s");
        int expiresAfterSeconds = after == null ? 0 : Integer.parseInt(after);
        sessions = isClientSide ? new ClientSessions(expiresAfterSeconds) : new ContainerSessions(expiresAfterSeconds);
    }

    @Override
    protected void doPost(HttpServletRequest request, HttpServletResponse response) throws IOException {
        switch (request.getServletPath()) {
            case "/session" -> create(request, response, Reply.read(request));
            case "/session/ops" -> append(request, response, Reply.read(request));
            case "/session/log-in" -> logIn(request, response, Reply.read(request));
            default -> logOut(request, response);
        }
    }

    private void create(HttpServletRequest request, HttpServletResponse response, JsonObject body)
            throws IOException {
        String owner = Reply.text(body, "owner");
        String bytes = Reply.text(body, "bytes");
        if (owner == null || !isSize(bytes)) {
            Reply.error(response, 400, "POST /session takes {\"owner\": text, \"bytes\": 0 to 4194304}");
            return;
        }
        State state = State.create(owner);
        Content content = new Content(state, Content.bytesOf(state.epoch, Integer.parseInt(bytes)), null);
        try {
            sessions.create(request, response, content);
        } catch (Sessions.TooLarge tooLarge) {
            Reply.error(response, 413, tooLarge.getMessage());
            return;
        }
        reply(response, content);
    }

    private static boolean isSize(String bytes) {
        return bytes != null && bytes.matches("[0-9]{1,7}") && Integer.parseInt(bytes) <= MOST_PAYLOAD_BYTES;
    }

    private void append(HttpServletRequest request, HttpServletResponse response, JsonObject body)
            throws IOException {
        String op = Reply.text(body, "op");
        String bytes = Reply.text(body, "bytes");
        String hold = Reply.text(body, "hold_ms");
        if (op == null || op.isEmpty() || op.length() > 64 || (bytes != null && !isSize(bytes)) || !isHold(hold)) {
            Reply.error(response, 400, "POST /session/ops takes {\"op\": 1 to 64 characters, "
                    + "\"bytes\": 0 to 4194304, or none, \"hold_ms\": 0 to 60000, or none}");
            return;
        }
        synchronized (sessions.lockOf(request)) {
            withSession(request, response, content -> {
                hold(hold);
                boolean changesBytes = bytes != null && Integer.parseInt(bytes) > 0;
                Content next = new Content(content.state().append(op), content.payload(),
                        changesBytes ? Content.bytesOf(op, Integer.parseInt(bytes)) : content.changing());
                sessions.update(request, response, next, changesBytes);
                reply(response, next);
            });
        }
    }

    @Override
    protected void doGet(HttpServletRequest request, HttpServletResponse response) throws IOException {
        String hold = request.getParameter("hold_ms");
        if (!isHold(hold)) {
            Reply.error(response, 400, "GET /session takes `hold_ms`, 0 to 60000, or nothing");
            return;
        }
        withSession(request, response, content -> {
            hold(hold);
            sessions.wasRead(response, content);
            reply(response, content);
        });
    }

    /** Makes the request's session its user's own, under another id. */
    private void logIn(HttpServletRequest request, HttpServletResponse response, JsonObject body) throws IOException {
        String owner = Reply.text(body, "owner");
        if (owner == null || owner.isEmpty()) {
            Reply.error(response, 400, "POST /session/log-in takes {\"owner\": text}");
            return;
        }
        synchronized (sessions.lockOf(request)) {
            withSession(request, response, content -> {
                Content own = new Content(content.state().ownedBy(owner), content.payload(), content.changing());
                sessions.logIn(request, response, own);
                reply(response, own);
            });
        }
    }

    /** What a call does with the session that its request names. */
    private interface Use {
        void of(Content content) throws IOException, Sessions.TooLarge;
    }

    /** Does it, or refuses: where there is no such session, or none any more, and where it becomes too large. */
    private void withSession(HttpServletRequest request, HttpServletResponse response, Use use) throws IOException {
        Content content = sessions.find(request);
        if (content == null) {
            Reply.error(response, 404, "unknown-session");
            return;
        }
        try {
            use.of(content);
        } catch (Sessions.TooLarge tooLarge) {
            Reply.error(response, 413, tooLarge.getMessage());
        } catch (IllegalStateException endedMeanwhile) {
            Reply.error(response, 404, "unknown-session");
        }
    }

    private static boolean isHold(String hold) {
        return hold == null || (hold.matches("[0-9]{1,5}") && Integer.parseInt(hold) <= MOST_HOLD_MS);
    }

    /** Between loading a session and saving it: what an application does there may take as long. */
    private static void hold(String hold) {
        if (hold != null) {
            try {
                Thread.sleep(Integer.parseInt(hold));
            } catch (InterruptedException stopping) {
                Thread.currentThread().interrupt();
            }
        }
    }

    private void logOut(HttpServletRequest request, HttpServletResponse response) throws IOException {
        synchronized (sessions.lockOf(request)) {
            if (!sessions.end(request, response)) {
                Reply.error(response, 404, "unknown-session");
                return;
            }
            response.setStatus(204);
        }
    }

    private static void reply(HttpServletResponse response, Content content) throws IOException {
        State state = content.state();
        JsonObject body = Reply.fromThisNode();
        body.addProperty("owner", state.owner);
        body.addProperty("epoch", state.epoch);
        body.addProperty("version", state.version);
        body.addProperty("digest", String.format("%016x", state.digest));
        JsonArray tail = new JsonArray();
        state.tail.forEach(tail::add);
        body.add("tail", tail);
        JsonObject payload = new JsonObject();
        payload.addProperty("bytes", content.bytes());
        payload.addProperty("crc32", content.crc32());
        body.add("payload", payload);
        Reply.send(response, 200, body);
    }
}
