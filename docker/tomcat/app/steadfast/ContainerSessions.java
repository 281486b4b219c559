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
    public State find(HttpServletRequest request) {
        HttpSession session = request.getSession(false);
        return session == null ? null : (State) session.getAttribute(STATE);
    }

    @Override
    public void create(HttpServletRequest request, HttpServletResponse response, State state, byte[] payload) {
        HttpSession old = request.getSession(false);
        if (old != null) {
            old.invalidate();
        }
        HttpSession session = request.getSession(true);
        session.setAttribute(PAYLOAD, payload);
        session.setAttribute(STATE, state);
    }

    @Override
    public void update(HttpServletRequest request, HttpServletResponse response, State next, byte[] changing) {
        HttpSession session = request.getSession(false);
        session.setAttribute(STATE, next);
        if (changing != null) {
            session.setAttribute(CHANGING, changing);
        }
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
