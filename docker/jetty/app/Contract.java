import com.google.gson.Gson;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.zip.CRC32;
import javax.servlet.http.HttpServlet;
import javax.servlet.http.HttpServletRequest;
import javax.servlet.http.HttpServletResponse;
import javax.servlet.http.HttpSession;
import org.eclipse.jetty.server.session.DefaultSessionCache;
import org.eclipse.jetty.server.session.SessionHandler;

/**
 * The session contract (docker/CONTRACT.md) over the servlet container's sessions. It does not know where they are kept, and locks
 * nothing itself.
 */
final class Contract extends HttpServlet {
    private static final long serialVersionUID = 1L;
    private static final long EMPTY_DIGEST = 0xcbf29ce484222325L;
    private static final long PRIME = 0x100000001b3L;
    private static final int TAIL = 8;
    private static final int MAX_BYTES = 4_194_304;
    private static final int MAX_HOLD_MS = 60_000;
    private static final SecureRandom RANDOM = new SecureRandom();
    private static final String BOOT = drawn();

    private final transient SessionHandler sessions;

    Contract(SessionHandler sessions) {
        this.sessions = sessions;
    }

    /** What is answered instead of a state. */
    private static final class Refusal extends RuntimeException {
        private static final long serialVersionUID = 1L;
        private final int status;

        Refusal(int status, String error) {
            super(error);
            this.status = status;
        }
    }

    @Override
    protected void service(HttpServletRequest request, HttpServletResponse response) throws IOException {
        try {
            Map<String, Object> body = answer(request);
            if (body == null) {
                response.setStatus(204);
            } else {
                reply(response, 200, body);
            }
        } catch (Refusal refusal) {
            Map<String, Object> body = new LinkedHashMap<>();
            body.put("error", refusal.getMessage());
            reply(response, refusal.status, body);
        }
    }

    private Map<String, Object> answer(HttpServletRequest request) throws IOException {
        return switch (request.getMethod() + " " + request.getRequestURI()) {
            case "POST /session" -> create(request, object(request));
            case "POST /session/log-in" -> logIn(request, object(request));
            case "POST /session/ops" -> append(request, object(request));
            case "GET /session" -> read(request);
            case "POST /session/log-out" -> logOut(request);
            case "GET /health" -> new LinkedHashMap<>(Map.of("members", List.of(System.getenv("NODE"))));
            case "GET /internals" -> internals();
            default -> throw new Refusal(404, "no such call");
        };
    }

    private Map<String, Object> create(HttpServletRequest request, JsonObject body) {
        String owner = text(body, "owner");
        int bytes = number(body, "bytes", -1);
        if (owner == null || !isWithin(bytes, MAX_BYTES)) {
            throw new Refusal(400, "POST /session takes {\"owner\": text, \"bytes\": 0 to 4194304}");
        }
        HttpSession before = request.getSession(false);
        if (before != null) {
            before.invalidate();
        }
        HttpSession session = request.getSession(true);
        String epoch = drawn();
        session.setAttribute("owner", owner);
        session.setAttribute("epoch", epoch);
        session.setAttribute("version", 0);
        session.setAttribute("digest", EMPTY_DIGEST);
        session.setAttribute("tail", new ArrayList<String>());
        session.setAttribute("payload", bytesOf(epoch, bytes));
        session.setAttribute("changing", new byte[0]);
        return shown(session);
    }

    private Map<String, Object> logIn(HttpServletRequest request, JsonObject body) {
        String owner = text(body, "owner");
        if (owner == null || owner.isEmpty()) {
            throw new Refusal(400, "POST /session/log-in takes {\"owner\": text}");
        }
        HttpSession session = known(request);
        request.changeSessionId();
        session.setAttribute("owner", owner);
        return shown(session);
    }

    private Map<String, Object> append(HttpServletRequest request, JsonObject body) {
        String op = text(body, "op");
        int bytes = number(body, "bytes", 0);
        int hold = number(body, "hold_ms", 0);
        boolean isOp = op != null && !op.isEmpty() && op.length() <= 64;
        if (!isOp || !isWithin(bytes, MAX_BYTES) || !isWithin(hold, MAX_HOLD_MS)) {
            throw new Refusal(400, "POST /session/ops takes {\"op\": 1 to 64 characters, \"bytes\": 0 to 4194304, or none, "
                + "\"hold_ms\": 0 to 60000, or none}");
        }
        HttpSession session = known(request);
        @SuppressWarnings("unchecked")
        List<String> before = (List<String>) session.getAttribute("tail");
        int version = (Integer) session.getAttribute("version");
        long digest = (Long) session.getAttribute("digest");
        hold(hold);
        ArrayList<String> tail = new ArrayList<>(before);
        tail.add(op);
        session.setAttribute("version", version + 1);
        session.setAttribute("digest", chained(digest, op));
        session.setAttribute("tail", new ArrayList<>(tail.subList(Math.max(0, tail.size() - TAIL), tail.size())));
        if (bytes > 0) {
            session.setAttribute("changing", bytesOf(op, bytes));
        }
        return shown(session);
    }

    private Map<String, Object> read(HttpServletRequest request) {
        String text = request.getParameter("hold_ms");
        int hold;
        try {
            hold = text == null ? 0 : Integer.parseInt(text);
        } catch (NumberFormatException notANumber) {
            hold = -1;
        }
        if (!isWithin(hold, MAX_HOLD_MS)) {
            throw new Refusal(400, "GET /session takes `hold_ms`, 0 to 60000, or nothing");
        }
        HttpSession session = known(request);
        hold(hold);
        return shown(session);
    }

    private static Map<String, Object> logOut(HttpServletRequest request) {
        known(request).invalidate();
        return null;
    }

    private Map<String, Object> internals() {
        System.gc();
        Runtime runtime = Runtime.getRuntime();
        Map<String, Object> body = new LinkedHashMap<>();
        body.put("heap_bytes", runtime.totalMemory() - runtime.freeMemory());
        long cached = sessions.getSessionCache() instanceof DefaultSessionCache cache ? cache.getSessionsCurrent() : 0;
        body.put("sessions", Map.of("primary", cached, "backup", 0, "proxy", 0));
        return body;
    }

    /** The session that a request names. */
    private static HttpSession known(HttpServletRequest request) {
        HttpSession session = request.getSession(false);
        if (session == null || session.getAttribute("epoch") == null) {
            throw new Refusal(404, "unknown-session");
        }
        return session;
    }

    private static Map<String, Object> shown(HttpSession session) {
        byte[] payload = (byte[]) session.getAttribute("payload");
        byte[] changing = (byte[]) session.getAttribute("changing");
        CRC32 crc = new CRC32();
        crc.update(payload);
        crc.update(changing);
        Map<String, Object> body = new LinkedHashMap<>();
        body.put("owner", session.getAttribute("owner"));
        body.put("epoch", session.getAttribute("epoch"));
        body.put("version", session.getAttribute("version"));
        body.put("digest", String.format("%016x", (Long) session.getAttribute("digest")));
        body.put("tail", session.getAttribute("tail"));
        body.put("payload",
            Map.of("bytes", payload.length + changing.length, "crc32", String.format("%08x", crc.getValue())));
        return body;
    }

    private static void reply(HttpServletResponse response, int status, Map<String, Object> body) throws IOException {
        body.put("node", System.getenv("NODE"));
        body.put("boot", BOOT);
        response.setStatus(status);
        response.setContentType("application/json");
        response.getOutputStream().write(new Gson().toJson(body).getBytes(StandardCharsets.UTF_8));
    }

    private static JsonObject object(HttpServletRequest request) throws IOException {
        try {
            JsonElement body = JsonParser.parseReader(request.getReader());
            if (body.isJsonObject()) {
                return body.getAsJsonObject();
            }
        } catch (JsonParseException notJson) {
            // Refused below.
        }
        throw new Refusal(400, "the body is no JSON object");
    }

    private static String text(JsonObject body, String key) {
        JsonElement value = body.get(key);
        boolean isText = value != null && value.isJsonPrimitive() && value.getAsJsonPrimitive().isString();
        return isText ? value.getAsString() : null;
    }

    private static int number(JsonObject body, String key, int otherwise) {
        JsonElement value = body.get(key);
        if (value == null) {
            return otherwise;
        }
        boolean isNumber = value.isJsonPrimitive() && value.getAsJsonPrimitive().isNumber();
        double number = isNumber ? value.getAsDouble() : -1;
        return number == Math.rint(number) && number <= Integer.MAX_VALUE ? (int) number : -1;
    }

    private static boolean isWithin(int number, int most) {
        return number >= 0 && number <= most;
    }

    /** Between loading a session and saving it: what an application does there may take as long. */
    private static void hold(int ms) {
        try {
            Thread.sleep(ms);
        } catch (InterruptedException ends) {
            Thread.currentThread().interrupt();
        }
    }

    private static String drawn() {
        return String.format("%016x", RANDOM.nextLong());
    }

    /** FNV-1a with 64 bits of the digest before and the operation. */
    private static long chained(long digest, String op) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        bytes.writeBytes(ByteBuffer.allocate(8).putLong(digest).array());
        bytes.writeBytes(op.getBytes(StandardCharsets.UTF_8));
        long hash = EMPTY_DIGEST;
        for (byte one : bytes.toByteArray()) {
            hash = (hash ^ (one & 0xff)) * PRIME;
        }
        return hash;
    }

    /** The bytes of a text: a linear congruential generator whose seed is its CRC-32. */
    private static byte[] bytesOf(String text, int count) {
        CRC32 crc = new CRC32();
        crc.update(text.getBytes(StandardCharsets.UTF_8));
        int x = (int) crc.getValue();
        byte[] bytes = new byte[count];
        for (int i = 0; i < count; i++) {
            x = 1664525 * x + 1013904223;
            bytes[i] = (byte) (x >>> 24);
        }
        return bytes;
    }
}
