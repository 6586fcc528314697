/** The page's scripts and style, minified, as scripts/page.mjs builds them from src/console/page/main.tsx. */
declare module "odoo-pg:page" {
  export const files: readonly {
    /** With a hash of its content. */
    readonly name: string;
    readonly text: string;
    /** `later`: loaded when it is asked for; all others at first. */
    readonly role: "script" | "part of the script" | "style" | "later";
  }[];
}
