package steadfast;

import java.security.SecureRandom;

/** Which process answers: the node's name, given by the topology, and a number drawn at each start. */
final class Node {
    static final String NAME = System.getenv().getOrDefault("NODE", "unnamed");
    static final String BOOT = randomHex();

    private Node() {}

    /** 16 hexadecimal digits: a 64-bit number that no JSON reader rounds. */
    static String randomHex() {
        return String.format("%016x", new SecureRandom().nextLong());
    }
}
