package referee;

import com.google.gson.JsonObject;

/**
 * One thing that a referee says about one resource.
 *
 * @param severity fatal, error, warning or information
 * @param id       what kind of message it is: the validator's own id, the same whatever the values are
 * @param location the element, as the validator writes it
 * @param line     the line in the resource's own text, 0 where it is not known
 * @param text     the sentence
 */
record Message(String severity, String id, String location, int line, String text) {

    /** The message as one object of the output; `file` and `line` say where the resource was read. */
    JsonObject toJson(String file, int line) {
        JsonObject object = new JsonObject();
        object.addProperty("severity", severity);
        object.addProperty("id", id);
        object.addProperty("location", location);
        object.addProperty("file", file);
        object.addProperty("line", line);
        object.addProperty("text", text);
        return object;
    }
}
