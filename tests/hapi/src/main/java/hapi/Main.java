package hapi;

import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.logging.Level;
import java.util.logging.Logger;

/**
 * `java -jar hapi.jar VERSION PORT [FLAG...]`: a FHIR server on 127.0.0.1 that forgets all when it ends. Port 0 chooses
 * one. The base address is printed as one line when the server answers. It ends when its standard input does, so that
 * it never outlives who started it. Exit code 1 when it cannot serve, 2 on wrong usage.
 */
public final class Main {

    private static final Map<String, Release> RELEASES = Map.of(
            "dstu2", Release.DSTU2,
            "stu3", Release.STU3,
            "r4", Release.R4,
            "r4b", Release.R4B,
            "r5", Release.R5);
    private static final Set<String> FLAGS = Set.of("--cache-searches", "--lenient", "--no-update-as-create");

    private Main() {}

    public static void main(String[] arguments) {
        Set<String> flags = new HashSet<>(List.of(arguments).subList(Math.min(2, arguments.length), arguments.length));
        Release release = arguments.length < 2 ? null : RELEASES.get(arguments[0].toLowerCase(Locale.ROOT));
        if (release == null || !arguments[1].matches("\\d{1,5}") || !FLAGS.containsAll(flags)) {
            System.err.println("usage: java -jar hapi.jar " + String.join("|", new TreeSet<>(RELEASES.keySet()))
                    + " PORT [" + String.join("] [", new TreeSet<>(FLAGS)) + "]");
            System.exit(2);
        }
        // Libraries write to standard output now and then: it is kept for the address alone.
        PrintStream output = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        System.setOut(System.err);
        Logger.getLogger("").setLevel(Level.WARNING);
        endWith(System.in);
        try {
            int port = Integer.parseInt(arguments[1]);
            output.println(new Server(release, port, flags).start());
        } catch (Exception failure) {
            failure.printStackTrace();
            System.exit(1);
        }
    }

    /** Ends the process when the stream does. */
    private static void endWith(InputStream input) {
        Thread thread = new Thread(
                () -> {
                    try {
                        input.transferTo(PrintStream.nullOutputStream());
                    } catch (IOException broken) {
                        System.err.println(broken);
                    }
                    System.exit(0);
                },
                "end of standard input");
        thread.setDaemon(true);
        thread.start();
    }
}
