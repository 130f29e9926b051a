import java.io.IOException;

/** Starts Trino, and ends it once standard input ends: so it never outlives who started it. */
public final class Start {
    private Start() {}

    public static void main(String[] arguments) {
        Thread watch = new Thread(() -> {
            try {
                while (System.in.read() >= 0) {}
            } catch (IOException ignored) {
                // Ended all the same.
            }
            Runtime.getRuntime().halt(0);
        });
        watch.setDaemon(true);
        watch.start();
        new io.trino.server.Server().start(arguments[0]);
    }
}
