// The four calls that the link maker makes, with the token that was typed in.
import type { Kind, Thing } from "../lib/draft";

export interface Link {
  id: string;
  name: string;
  type: string;
  liveSharingUrl: string;
  expiresAtTime?: string;
}

export class Refused extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

export class Api {
  constructor(private readonly token: string) {}

  async shareable(kind: Kind, text: string): Promise<Thing[]> {
    const query = new URLSearchParams({ type: kind, ...(text.trim() && { q: text.trim() }) });
    return ((await this.call("GET", `/odograph/shareable?${query}`)) as { data: Thing[] }).data;
  }

  async make(body: unknown): Promise<Link> {
    return ((await this.call("POST", "/live-shares", body)) as { data: Link }).data;
  }

  /** Of one page: who has more active links than that has other tools. */
  async links(): Promise<Link[]> {
    return ((await this.call("GET", "/live-shares?limit=100")) as { data: Link[] }).data;
  }

  async extend(link: Link, until: string): Promise<Link> {
    return ((await this.call("PATCH", `/live-shares?id=${encodeURIComponent(link.id)}`, { name: link.name, expiresAtTime: until })) as { data: Link }).data;
  }

  async revoke(link: Link): Promise<void> {
    await this.call("DELETE", `/live-shares?id=${encodeURIComponent(link.id)}`);
  }

  private async call(method: string, path: string, body?: unknown): Promise<unknown> {
    const answer = await fetch(path, {
      method,
      headers: { Authorization: `Bearer ${this.token}`, ...(body !== undefined && { "Content-Type": "application/json" }) },
      credentials: "omit",
      cache: "no-store",
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    if (answer.ok) return answer.status === 204 ? null : answer.json();
    const problem = (await answer.json().catch(() => ({}))) as { message?: string };
    throw new Refused(answer.status, problem.message ?? String(answer.status));
  }
}
