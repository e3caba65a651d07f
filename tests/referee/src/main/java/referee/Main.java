package referee;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonObject;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;

/**
 * `java -jar referee.jar VERSION FILE...`: every message as one line of JSON, and a last line that counts the
 * resources, so that a silence can be told from a death. Exit code 0 without an error, 3 with one, 2 on wrong usage.
 */
public final class Main {

    private static final Gson GSON = new GsonBuilder().disableHtmlEscaping().create();

    private Main() {}

    public static void main(String[] arguments) throws IOException {
        if (arguments.length < 2) {
            System.err.println("usage: java -jar referee.jar VERSION FILE...    (a FILE may be -)");
            System.exit(2);
        }
        // Libraries write to standard output now and then: it is kept for the messages alone.
        PrintStream output = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        System.setOut(System.err);
        System.setProperty("org.slf4j.simpleLogger.defaultLogLevel", "error");
        int errors = run(arguments, output);
        output.flush();
        System.exit(errors == 0 ? 0 : 3);
    }

    private static int run(String[] arguments, PrintStream output) throws IOException {
        Referee referee = Referee.of(arguments[0]);
        int resources = 0;
        int errors = 0;
        for (int index = 1; index < arguments.length; index++) {
            for (Inputs.Input input : Inputs.read(arguments[index])) {
                resources++;
                for (Message message : referee.judge(input.json())) {
                    errors += message.severity().equals("error") || message.severity().equals("fatal") ? 1 : 0;
                    int line = input.single() && message.line() > 0 ? message.line() : input.line();
                    output.println(GSON.toJson(message.toJson(input.file(), line)));
                }
            }
        }
        JsonObject last = new JsonObject();
        last.addProperty("version", arguments[0]);
        last.addProperty("resources", resources);
        last.addProperty("errors", errors);
        output.println(GSON.toJson(last));
        return errors;
    }
}
