package steadfast;

import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;

/** Where sessions live, as far as the servlet must know: with the container, or with the client. */
interface Sessions {
    /** What the request's session holds; null where it has none. */
    Content find(HttpServletRequest request);

    /** What a node holds while it changes the request's session. */
    Object lockOf(HttpServletRequest request);

    /** Begins a session in place of the one that the request has, if it has one. */
    void create(HttpServletRequest request, HttpServletResponse response, Content content) throws TooLarge;

    /**
     * Keeps what an operation has changed: the state, and if it says so what changes beside it. Throws an
     * IllegalStateException where the session has ended meanwhile.
     */
    void update(HttpServletRequest request, HttpServletResponse response, Content next, boolean hasChangedBytes)
            throws TooLarge;

    /**
     * Keeps the session as its user's own, and gives it another id. Throws an IllegalStateException where the
     * session has ended meanwhile.
     */
    void logIn(HttpServletRequest request, HttpServletResponse response, Content own) throws TooLarge;

    /** Called before the reply to a read: its session does not expire for a while. */
    void wasRead(HttpServletResponse response, Content content);

    /** Ends the request's session. Says whether there was one. */
    boolean end(HttpServletRequest request, HttpServletResponse response);

    /** A session that cannot be kept. */
    final class TooLarge extends Exception {
        private static final long serialVersionUID = 1L;

        TooLarge(String message) {
            super(message);
        }
    }
}
