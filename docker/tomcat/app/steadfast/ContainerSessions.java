package steadfast;

import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import jakarta.servlet.http.HttpSession;

/** With the container, whatever session manager it was configured with. */
final class ContainerSessions implements Sessions {
    private static final String STATE = "state";
    private static final String PAYLOAD = "payload";
    private static final String CHANGING = "changing";

    /**
     * Requests of one session are serialised inside a node, as a careful application does it, so that
     * lost updates are the strategy's and not the servlet's. Striped: no table of locks to clean.
     */
    private static final Object[] LOCKS = new Object[1024];

    private final int expiresAfterSeconds;

    /** Sessions that end after so many seconds without a request; 0: as web.xml says. */
    ContainerSessions(int expiresAfterSeconds) {
        this.expiresAfterSeconds = expiresAfterSeconds;
    }

    static {
        for (int i = 0; i < LOCKS.length; i++) {
            LOCKS[i] = new Object();
        }
    }

    @Override
    public Object lockOf(HttpServletRequest request) {
        String id = request.getRequestedSessionId();
        return LOCKS[Math.floorMod(id == null ? 0 : id.hashCode(), LOCKS.length)];
    }

    @Override
    public Content find(HttpServletRequest request) {
        HttpSession session = request.getSession(false);
        State state = session == null ? null : (State) session.getAttribute(STATE);
        return state == null ? null
                : new Content(state, (byte[]) session.getAttribute(PAYLOAD), (byte[]) session.getAttribute(CHANGING));
    }

    @Override
    public void create(HttpServletRequest request, HttpServletResponse response, Content content) {
        HttpSession old = request.getSession(false);
        if (old != null) {
            old.invalidate();
        }
        HttpSession session = request.getSession(true);
        if (expiresAfterSeconds > 0) {
            session.setMaxInactiveInterval(expiresAfterSeconds);
        }
        session.setAttribute(PAYLOAD, content.payload());
        session.setAttribute(STATE, content.state());
    }

    @Override
    public void update(
            HttpServletRequest request, HttpServletResponse response, Content next, boolean hasChangedBytes) {
        HttpSession session = request.getSession(false);
        if (session == null) {
            throw new IllegalStateException("ended while the request was held");
        }
        session.setAttribute(STATE, next.state());
        if (hasChangedBytes) {
            session.setAttribute(CHANGING, next.changing());
        }
    }

    @Override
    public void logIn(HttpServletRequest request, HttpServletResponse response, Content own) {
        request.changeSessionId();
        request.getSession(false).setAttribute(STATE, own.state());
    }

    /** The container has seen the request. */
    @Override
    public void wasRead(HttpServletResponse response, Content content) {
    }

    @Override
    public boolean end(HttpServletRequest request, HttpServletResponse response) {
        HttpSession session = request.getSession(false);
        if (session == null) {
            return false;
        }
        session.invalidate();
        return true;
    }
}
