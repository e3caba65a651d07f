package referee;

import java.util.List;

/** Whatever can judge a resource of one FHIR version. It is used by one thread. */
interface Referee {

    /** What is to be said about one resource or Bundle, given as JSON text; nothing when all is well. */
    List<Message> judge(String json);

    /** The referee of a version by its name in `dicom2fhir --to`. */
    static Referee of(String version) {
        return switch (version) {
            case "dstu2-ballot2" -> new BallotReferee();
            case "dstu2" -> new OfficialReferee(Definitions.dstu2());
            case "stu3" -> new OfficialReferee(Definitions.stu3());
            case "r4" -> new OfficialReferee(Definitions.r4());
            case "r4b" -> new OfficialReferee(Definitions.r4b());
            case "r5" -> new OfficialReferee(Definitions.r5());
            case "r6" -> new OfficialReferee(Definitions.r6());
            default -> throw new IllegalArgumentException("There is no official referee for " + version + ".");
        };
    }
}
