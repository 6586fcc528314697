import { escaped, htmlPage, styleSource } from "./html.ts";

const STYLE =
  ":root{color-scheme:light dark}html{background:light-dark(#fff,#14191d);color:light-dark(#1a2024,#e6eaee)}a{color:light-dark(#0b57d0,#8ab4f8)}body{font:1rem/1.5 system-ui,sans-serif;max-width:22rem;margin:15vh auto 0;padding:0 1rem}label{display:block;margin:1rem 0 .25rem}select,input,button{font:inherit;width:100%;padding:.5rem;box-sizing:border-box}button{margin-top:1.5rem}p{color:light-dark(#4a5259,#aab4bc)}.wrong{color:light-dark(#b3261e,#ff8a80)}";

/** The sign-in page includes its few lines of style: nothing else is open without a sign-in. */
export const SIGN_IN_POLICY = `default-src 'none'; style-src ${styleSource(STYLE)}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'`;

/**
 * @param problem why the last try was refused: our own words, never what was typed
 * @param called how odoo-pg is typed on this host
 */
export function signInPage(problem: string | undefined, called: string): string {
  // A path may contain anything.
  const command = escaped(called);
  const words = problem === undefined ? "" : `<p class="wrong" role="alert">${problem}</p>`;
  return htmlPage({
    title: "odoo-pg: sign in",
    head: `<style>${STYLE}</style>`,
    body: `<h1>odoo-pg</h1>
${words}<form method="post" action="/sign-in">
<label for="role">Role</label>
<select id="role" name="role"><option value="operator">operator</option><option value="viewer">viewer</option></select>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required autofocus>
<button>Sign in</button>
</form>
<p>On the host, <code>${command} console</code> prints a link that signs in, and <code>${command} console --passwords</code> names the files of the passwords.</p>`,
  });
}
