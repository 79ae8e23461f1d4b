// Checks, each a JSON line.

export class Report {
  passed = 0;
  failed = 0;

  // Runs a check; what it throws is its failure, and the others go on.
  async run(client, check, body) {
    const start = performance.now();
    const line = { client, check, ok: true };
    try {
      await body();
      this.passed += 1;
    } catch (error) {
      this.failed += 1;
      line.ok = false;
      line.error = String(error?.stack ?? error).slice(0, 2000);
    }
    line.ms = Math.round(performance.now() - start);
    console.log(JSON.stringify(line));
  }

  of(client) {
    return {
      check: (name, body) => this.run(client, name, body),
      skip: (name, reason) => console.log(JSON.stringify({ client, check: name, skipped: reason })),
    };
  }

  summary() {
    console.log(JSON.stringify({ summary: true, passed: this.passed, failed: this.failed, node: process.versions.node }));
  }
}
