package referee;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.w3c.dom.Element;
import org.w3c.dom.Node;
import org.w3c.dom.NodeList;

/** What the JSON form needs of a FHIR schema: each type's elements in order, its attributes, and its JSON kind. */
final class SchemaTypes {

    static final String FHIR = "http://hl7.org/fhir";
    static final String ANY_RESOURCE = "ResourceContainer";

    private static final String SCHEMA = "http://www.w3.org/2001/XMLSchema";
    private static final Set<String> NUMBERS = Set.of("integer", "decimal", "unsignedInt", "positiveInt");

    /** An element of a type; `many` when it may repeat, which JSON writes as a list. */
    record Child(String name, String type, boolean many) {}

    private final Map<String, Element> complexTypes = new HashMap<>();
    private final Set<String> globals = new HashSet<>();

    SchemaTypes(Element schema) {
        for (Element each : children(schema)) {
            if (each.getLocalName().equals("complexType")) {
                complexTypes.put(each.getAttribute("name"), each);
            } else if (each.getLocalName().equals("element")) {
                globals.add(each.getAttribute("name"));
            }
        }
    }

    boolean isResource(String name) {
        return globals.contains(name) && complexTypes.containsKey(name);
    }

    boolean isPrimitive(String type) {
        return ownAttributes(type).contains("value");
    }

    /** boolean, number or string. */
    String jsonKind(String type) {
        return type.equals("boolean") ? "boolean" : NUMBERS.contains(type) ? "number" : "string";
    }

    List<Child> children(String type) {
        List<Child> found = new ArrayList<>();
        String base = base(type);
        if (complexTypes.containsKey(base)) {
            found.addAll(children(base));
        }
        NodeList elements = complexTypes.get(type).getElementsByTagNameNS(SCHEMA, "element");
        for (int index = 0; index < elements.getLength(); index++) {
            Element element = (Element) elements.item(index);
            boolean many = isMany(element) || isMany((Element) element.getParentNode());
            if (element.hasAttribute("name")) {
                found.add(new Child(element.getAttribute("name"), element.getAttribute("type"), many));
            } else if (element.getAttribute("ref").equals("xhtml:div")) {
                found.add(new Child("div", "xhtml", false));
            }
        }
        return found;
    }

    /** The attributes that JSON writes as members: an element's `id`, an extension's `url`. */
    List<String> attributes(String type) {
        List<String> found = new ArrayList<>(ownAttributes(type));
        String base = base(type);
        if (complexTypes.containsKey(base)) {
            found.addAll(attributes(base));
        }
        found.remove("value");
        return found;
    }

    private List<String> ownAttributes(String type) {
        List<String> found = new ArrayList<>();
        NodeList attributes = complexTypes.get(type).getElementsByTagNameNS(SCHEMA, "attribute");
        for (int index = 0; index < attributes.getLength(); index++) {
            found.add(((Element) attributes.item(index)).getAttribute("name"));
        }
        return found;
    }

    private String base(String type) {
        NodeList extensions = complexTypes.get(type).getElementsByTagNameNS(SCHEMA, "extension");
        return extensions.getLength() == 0 ? "" : ((Element) extensions.item(0)).getAttribute("base");
    }

    private static boolean isMany(Element element) {
        return element.getAttribute("maxOccurs").equals("unbounded");
    }

    private static List<Element> children(Element parent) {
        List<Element> found = new ArrayList<>();
        for (Node node = parent.getFirstChild(); node != null; node = node.getNextSibling()) {
            if (node instanceof Element element) {
                found.add(element);
            }
        }
        return found;
    }
}
