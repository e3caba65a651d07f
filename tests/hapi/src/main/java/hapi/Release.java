package hapi;

import ca.uhn.fhir.jpa.config.JpaDstu2Config;
import ca.uhn.fhir.jpa.config.dstu3.JpaDstu3Config;
import ca.uhn.fhir.jpa.config.r4.JpaR4Config;
import ca.uhn.fhir.jpa.config.r4b.JpaR4BConfig;
import ca.uhn.fhir.jpa.config.r5.JpaR5Config;

/** A version of FHIR: the path that it is served at, and the library's own configuration of it. */
enum Release {
    DSTU2("/baseDstu2", JpaDstu2Config.class),
    STU3("/baseStu3", JpaDstu3Config.class),
    R4("/baseR4", JpaR4Config.class),
    R4B("/baseR4B", JpaR4BConfig.class),
    R5("/baseR5", JpaR5Config.class);

    final String path;
    final Class<?> configuration;

    Release(String path, Class<?> configuration) {
        this.path = path;
        this.configuration = configuration;
    }
}
