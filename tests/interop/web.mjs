// The web application's accounts: reads one JSON request a line, answers one JSON line each.
//
// A request is {"method": "signInEmail", "body": {...}, "token": "..."}; the answer is
// {"value": ...} or {"error": "CODE"}. The methods are those of Better Auth's server API.
import { createInterface } from "node:readline";
import { betterAuth } from "better-auth";
import { bearer } from "better-auth/plugins";
import pg from "pg";

const [host, user, database] = process.argv.slice(2);
const pool = new pg.Pool({ host, user, database });

const times = { createdAt: "created_at", updatedAt: "updated_at" };
const auth = betterAuth({
  baseURL: "http://localhost:3000",
  secret: "a secret of this test, of more than thirty-two characters",
  database: pool,
  telemetry: { enabled: false },
  logger: { disabled: true },
  advanced: { database: { generateId: "uuid" } },
  emailAndPassword: { enabled: true },
  plugins: [bearer()],
  user: { modelName: "users", fields: { ...times, emailVerified: "email_verified" } },
  session: {
    modelName: "sessions",
    fields: {
      ...times,
      userId: "user_id",
      expiresAt: "expires_at",
      ipAddress: "ip_address",
      userAgent: "user_agent",
    },
  },
  account: {
    modelName: "accounts",
    fields: {
      ...times,
      userId: "user_id",
      accountId: "account_id",
      providerId: "provider_id",
      accessToken: "access_token",
      refreshToken: "refresh_token",
      idToken: "id_token",
      accessTokenExpiresAt: "access_token_expires_at",
      refreshTokenExpiresAt: "refresh_token_expires_at",
    },
  },
  verification: {
    modelName: "verifications",
    fields: { ...times, expiresAt: "expires_at" },
  },
});

async function answer({ method, body, token }) {
  const headers = new Headers(token ? { authorization: `Bearer ${token}` } : {});
  try {
    return { value: await auth.api[method]({ ...(body ? { body } : {}), headers }) };
  } catch (error) {
    return { error: error.body?.code ?? String(error) };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await answer(JSON.parse(line)))}\n`);
}
await pool.end();
