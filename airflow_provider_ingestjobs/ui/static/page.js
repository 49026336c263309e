globalThis.AirflowPlugin = () => globalThis.React.createElement("p", null, "Ingestion jobs");
